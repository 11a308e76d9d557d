import { constants } from 'node:os';

/** Each asks a VM process to end. SIGHUP: its terminal is gone; SIGQUIT: Ctrl-\. */
const END_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const;
export type EndSignal = (typeof END_SIGNALS)[number];

/** Calls back for every such signal; the result stops that. */
export function onEndSignals(callback: (signal: EndSignal) => void): () => void {
  for (const signal of END_SIGNALS) process.on(signal, callback);
  return () => {
    for (const signal of END_SIGNALS) process.off(signal, callback);
  };
}

export function signalNumber(signal: EndSignal): number {
  return constants.signals[signal];
}
