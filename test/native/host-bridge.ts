/** TAP devices and bridges of this host for a test, all gone after it. */
import { onTestFinished } from 'vitest';
import { runCommand } from '../../src/bench/run-command.js';
import { native, POLLIN, type NativeMemory, type NativeTap } from '../../src/native.js';

export const HEADER_BYTES = 12;
/** For experiments (IEEE 802): what else a host sends on a new interface is told from ours by it. */
const OUR_ETHERTYPE = 0x88b5;
const PATIENCE_MS = 5000;

let names = 0;
/** An interface name that nobody else uses. */
export const freshName = (): string => `pct${process.pid}x${names++}`;

export function interfaceExists(name: string): boolean {
  try {
    runCommand('ip', 'link', 'show', 'dev', name);
    return true;
  } catch {
    return false;
  }
}

export const details = (name: string): Record<string, unknown> =>
  (JSON.parse(runCommand('ip', '-j', '-d', 'link', 'show', 'dev', name)) as Record<string, unknown>[])[0]!;

export function makeBridge(): string {
  const bridge = makeInterface('link', 'add', 'type', 'bridge');
  runCommand('ip', 'link', 'set', bridge, 'up');
  return bridge;
}

export function makePersistentTap(...words: string[]): string {
  return makeInterface('tuntap', 'add', 'mode', 'tap', ...words);
}

function makeInterface(what: string, add: string, ...words: string[]): string {
  const name = freshName();
  runCommand('ip', what, add, 'dev', name, ...words);
  onTestFinished(() => {
    if (interfaceExists(name)) runCommand('ip', 'link', 'delete', name);
  });
  return name;
}

export function openTap(name = freshName(), bridge = ''): NativeTap {
  const tap = new native.Tap(name, bridge);
  onTestFinished(() => tap.close());
  return tap;
}

/** The next frame that `wanted` takes, with its header; what else comes is thrown away. */
export function receiveFrame(tap: NativeTap, memory: NativeMemory, wanted = isOurs): Uint8Array {
  const segments = Float64Array.of(0, memory.bytes);
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    const length = tap.receive(memory, segments, 1);
    if (length === -1) native.poll(Int32Array.of(tap.fd, POLLIN, 0), 1, 100);
    const frame = new Uint8Array(Math.max(0, length));
    memory.read(0, frame);
    if (wanted(frame)) return frame;
  }
  throw new Error('no frame came in time');
}

export function isOurs(frame: Uint8Array): boolean {
  return frame[HEADER_BYTES + 12] === OUR_ETHERTYPE >> 8 && frame[HEADER_BYTES + 13] === (OUR_ETHERTYPE & 0xff);
}

/** A broadcast frame from the MAC address 02:00:00:00:00:`from`, with an empty header. */
export function ourFrame(from: number, ...payload: number[]): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + 14 + payload.length);
  frame.fill(0xff, HEADER_BYTES, HEADER_BYTES + 6);
  frame.set([2, 0, 0, 0, 0, from, OUR_ETHERTYPE >> 8, OUR_ETHERTYPE & 0xff, ...payload], HEADER_BYTES + 6);
  return frame;
}
