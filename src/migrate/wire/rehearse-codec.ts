/**
 * Rehearsals: the code that runs while the guest stands still is run some times before, on the state of a machine that
 * has none, so that the real run finds it compiled. The first run of it takes several times as long as a later one.
 */
import { forEachChip } from '../../machine/machine-state.js';
import { forEachPart } from '../../machine/vcpu-state.js';
import { PAGE_SIZE } from '../../memory/page-size.js';
import { decodeRamMap, encodeRamMap } from '../../memory/ram-map.js';
import { native } from '../../native.js';
import { REHEARSES } from '../../threads/rehearses.js';
import { encodeMessage, FrameDecoder } from './frame.js';
import type { State } from './message.js';

const RUNS = 4;
/** An emulated host would take seconds for them. */
const LONGEST_MICROS = 300_000;
/** Of the codec, which needs no machine: at the start of the process, when nobody waits. */
const CODEC_RUNS = 60;
const PART_BYTES = 1024;
const TYPICAL_XSAVE_BYTES = 4096;

/** Both ends, long before a migration: STATE, and the small messages of the gap, through the codec. */
export function rehearseCodec(): void {
  if (!REHEARSES) return;
  const state = stateOfSize(1, TYPICAL_XSAVE_BYTES);
  const decoder = new FrameDecoder();
  for (let run = 0; run < CODEC_RUNS; run++) {
    decoder.push(encodeMessage('ram', { ramMap: encodeRamMap(decodeRamMap(encodeRamMap(EXTENTS), PAGES)) }));
    decoder.push(encodeMessage('state', state));
    decoder.push(encodeMessage('loaded', { afterMicros: run }));
    decoder.push(encodeMessage('commit', { epoch: run, sinceClockMicros: run, wallClockMs: run }));
    decoder.push(encodeMessage('running', { afterMicros: run }));
    decoder.push(encodeMessage('ping', { sentAt: run }));
  }
}

const PAGES = 1 << 20;
const EXTENTS = Uint32Array.from({ length: 128 }, (_, i) => (i % 2 === 0 ? i * 1000 : 500));

/** Runs a rehearsal of one end some times, and not for long. */
export async function again(run: () => Promise<void>): Promise<void> {
  if (!REHEARSES) return;
  const end = native.monotonicMicros() + LONGEST_MICROS;
  for (let count = 0; count < RUNS && native.monotonicMicros() < end; count++) await run();
}

/** STATE with nothing in it, of the size that a machine's will have. */
export function stateOfSize(cpus: number, xsaveBytes: number): State {
  const part = () => new Uint8Array(PART_BYTES);
  const vcpu = forEachPart((name) => (name === 'xsave' ? new Uint8Array(xsaveBytes) : part()));
  return {
    cpu: {
      machine: 'kvm',
      vcpus: Array.from({ length: cpus }, () => vcpu),
      chips: forEachChip(part),
      clock: part(),
    },
    devices: {},
    ramMap: part(),
    held: part(),
    firstPages: [0],
    firstContent: new Uint8Array(PAGE_SIZE),
    diskSamples: [],
  };
}
