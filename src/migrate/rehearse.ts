/**
 * Rehearsals: the code that runs while the guest stands still is run once or twice before, on the state of a machine that
 * has none, so that the real run finds it compiled. The first run of it takes several times as long as the second.
 */
import { Deadline } from '../deadline.js';
import type { MachineState } from '../run/machine-state.js';
import { NoAnswerError } from '../run/device-link.js';
import { STOPPED_LIMIT_MS, type Machine } from '../run/machine.js';
import { encodeMessage, FrameDecoder } from './frame.js';
import type { State } from './message.js';
import { decodeRamMap, encodeRamMap } from '../memory/ram-map.js';

const RUNS = 3;
/** Of the codec, which needs no machine: at the start of the process, when nobody waits. */
const CODEC_RUNS = 60;
const PART_BYTES = 1024;
const TYPICAL_XSAVE_BYTES = 4096;

/** Both ends, long before a migration: STATE, and the small messages of the gap, through the codec. */
export function rehearseCodec(): void {
  const state = stateOfSize(1, TYPICAL_XSAVE_BYTES);
  const decoder = new FrameDecoder();
  for (let run = 0; run < CODEC_RUNS; run++) {
    decoder.push(encodeMessage('ram', { ramMap: encodeRamMap(decodeRamMap(encodeRamMap(EXTENTS), PAGES)) }));
    decoder.push(encodeMessage('state', state));
    decoder.push(encodeMessage('loaded', { afterMicros: run }));
    decoder.push(encodeMessage('commit', { epoch: run, sinceClockMicros: run }));
    decoder.push(encodeMessage('running', { afterMicros: run }));
    decoder.push(encodeMessage('ping', { sentAt: run }));
  }
}

const PAGES = 1 << 20;
const EXTENTS = Uint32Array.from({ length: 128 }, (_, i) => (i % 2 === 0 ? i * 1000 : 500));

/** Source: saves the devices, and encodes STATE of the size this machine's will have. The machine runs meanwhile. */
export async function rehearseCapture(machine: Machine): Promise<void> {
  const state = stateOfSize(machine.cpus, machine.xsaveBytes);
  for (let run = 0; run < RUNS; run++) {
    await rehearseSave(machine);
    new FrameDecoder().push(encodeMessage('state', state));
  }
}

/** The devices run on, and nobody keeps this: what goes wrong here fails no migration, unless they do not even answer. */
async function rehearseSave({ devices }: Machine): Promise<void> {
  try {
    await devices.save(Deadline.in(STOPPED_LIMIT_MS));
  } catch (error) {
    if (error instanceof NoAnswerError) throw error;
  }
}

function stateOfSize(cpus: number, xsaveBytes: number): State {
  const part = () => new Uint8Array(PART_BYTES);
  const vcpu = {
    ...{ regs: part(), sregs: part(), debugregs: part(), xcrs: part(), xsave: new Uint8Array(xsaveBytes) },
    ...{ mpState: part(), vcpuEvents: part(), lapic: part(), msrs: part() },
  };
  return {
    vcpus: Array.from({ length: cpus }, () => vcpu),
    chips: { picMaster: part(), picSlave: part(), ioapic: part(), pit: part() },
    clock: part(),
    devices: {},
    ramMap: part(),
  };
}

/** Destination: saves the fresh machine's own state, sends it through the codec, and loads it again. */
export async function rehearseLoading(machine: Machine): Promise<void> {
  for (let run = 0; run < RUNS; run++) {
    const { state: saved } = await machine.save();
    const [message] = new FrameDecoder().push(encodeMessage('state', { ...saved, ramMap: new Uint8Array(0) }));
    if (message?.type === 'state') await machine.restore(message.body as MachineState);
  }
}
