/**
 * What the guest has written to its consoles lately, on its way to the host that it moves to: the last words of one that has
 * panicked are most of what is left of it.
 */
import { CONSOLE_PORTS, type ConsolePort } from './console-port.js';
import { RECENT_OUTPUT_BYTES } from './serial-hub.js';
import type { SerialBackend } from './serial-backend.js';

/** Of each console, oldest byte first. */
export type ConsoleOutput = Record<ConsolePort, Uint8Array>;

/** What comes behind the first part at most: the guest stands still for it. What is older goes missing. */
export const LATE_OUTPUT_BYTES = 8 * 1024;

type Consoles = Record<ConsolePort, Pick<SerialBackend, 'recentOutput'>>;

/** Of one migration, at the source. */
export class MovingOutput {
  readonly #consoles: Consoles;
  readonly #taken: Partial<Record<ConsolePort, number>> = {};

  constructor(consoles: Consoles) {
    this.#consoles = consoles;
  }

  /** What has come since the last time, at first all that is kept; undefined if that is nothing. */
  take(): ConsoleOutput | undefined {
    const [serial, virtio] = CONSOLE_PORTS.map((port) => this.#takeOf(port)) as [Uint8Array, Uint8Array];
    return serial.length + virtio.length === 0 ? undefined : { serial, virtio };
  }

  #takeOf(port: ConsolePort): Uint8Array {
    const before = this.#taken[port];
    const { bytes, end } = this.#consoles[port].recentOutput();
    this.#taken[port] = end;
    const most = before === undefined ? RECENT_OUTPUT_BYTES : Math.min(end - before, LATE_OUTPUT_BYTES);
    return bytes.subarray(Math.max(0, bytes.length - most));
  }
}

/** At the destination, before the guest writes anything there: who attaches to a console later sees it. */
export function rememberOutput(
  consoles: Record<ConsolePort, Pick<SerialBackend, 'remember'>>,
  output: ConsoleOutput,
): void {
  for (const port of CONSOLE_PORTS) consoles[port].remember(output[port]);
}
