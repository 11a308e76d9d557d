/** A network namespace: an interface list, addresses and counters of its own. */
import { readFileSync } from 'node:fs';
import { runCommand } from '../run-command.js';

export class NetworkNamespace {
  constructor(readonly name: string) {
    runCommand('ip', 'netns', 'add', name);
  }

  /** `ip` inside of it. */
  ip(...words: string[]): void {
    runCommand('ip', '-n', this.name, ...words);
  }

  tc(...words: string[]): void {
    runCommand('tc', '-n', this.name, ...words);
  }

  /** What a process in it is started through. */
  get launcher(): string[] {
    return ['ip', 'netns', 'exec', this.name];
  }

  remove(): void {
    runCommand('ip', 'netns', 'delete', this.name);
  }
}

export interface InterfaceBytes {
  received: number;
  sent: number;
}

/** Counters of an interface in the network namespace of process `pid`. */
export function interfaceBytes(pid: number, name: string): InterfaceBytes {
  return parseNetDev(readFileSync(`/proc/${pid}/net/dev`, 'latin1'), name);
}

/** proc(5): received bytes are the first, sent bytes the ninth number behind the name. */
export function parseNetDev(text: string, name: string): InterfaceBytes {
  const line = text.split('\n').find((candidate) => candidate.trim().startsWith(`${name}:`));
  if (line === undefined) throw new Error(`/proc/net/dev has no interface ${name}`);
  const numbers = line
    .slice(line.indexOf(':') + 1)
    .trim()
    .split(/\s+/)
    .map(Number);
  return { received: numbers[0]!, sent: numbers[8]! };
}
