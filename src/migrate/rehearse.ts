/**
 * Rehearsals: the code that runs while the guest stands still is run some times before, on the state of a machine that
 * has none, so that the real run finds it compiled. The first run of it takes several times as long as a later one.
 */
import { Deadline } from '../basics/deadline.js';
import type { MachineState } from '../machine/machine-state.js';
import { bootRegisters, KVM_SREGS_BYTES } from '../boot/cpu-registers.js';
import { HIGH_MEMORY_START, ZERO_PAGE_ADDRESS } from '../memory/layout.js';
import { PAGE_SIZE } from '../memory/page-size.js';
import { contentOf, firstPages } from './source/first-pages.js';
import { NoAnswerError } from '../machine/device-link.js';
import { STOPPED_LIMIT_MS, type Machine } from '../machine/machine.js';
import { native } from '../native.js';
import { encodeMessage, FrameDecoder } from './wire/frame.js';
import type { State } from './wire/message.js';
import { REHEARSES } from '../threads/rehearses.js';
import { decodeRamMap, encodeRamMap } from '../memory/ram-map.js';

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
    decoder.push(encodeMessage('commit', { epoch: run, sinceClockMicros: run }));
    decoder.push(encodeMessage('running', { afterMicros: run }));
    decoder.push(encodeMessage('ping', { sentAt: run }));
  }
}

const PAGES = 1 << 20;
const EXTENTS = Uint32Array.from({ length: 128 }, (_, i) => (i % 2 === 0 ? i * 1000 : 500));

/** A vCPU that pages. */
const PAGING = {
  ...bootRegisters(
    { protocol: 'linux64', entryAddress: HIGH_MEMORY_START, bootInfoAddress: ZERO_PAGE_ADDRESS },
    new Uint8Array(KVM_SREGS_BYTES),
  ),
  msrs: new Uint8Array(0),
};

/** Source: saves the devices, and encodes STATE of the size this machine's will have. The machine runs meanwhile. */
export async function rehearseCapture(machine: Machine): Promise<void> {
  const state = stateOfSize(machine.cpus, machine.xsaveBytes);
  await again(async () => {
    await rehearseSave(machine);
    contentOf(machine.memory, firstPages(machine.memory, [PAGING]));
    new FrameDecoder().push(encodeMessage('state', state));
  });
}

async function again(run: () => Promise<void>): Promise<void> {
  if (!REHEARSES) return;
  const end = native.monotonicMicros() + LONGEST_MICROS;
  for (let count = 0; count < RUNS && native.monotonicMicros() < end; count++) await run();
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
    cpu: {
      machine: 'kvm',
      vcpus: Array.from({ length: cpus }, () => vcpu),
      chips: { picMaster: part(), picSlave: part(), ioapic: part(), pit: part() },
      clock: part(),
    },
    devices: {},
    ramMap: part(),
    firstPages: [0],
    firstContent: new Uint8Array(PAGE_SIZE),
  };
}

/** Destination: saves the fresh machine's own state, sends it through the codec, and loads it again. */
export async function rehearseLoading(machine: Machine): Promise<void> {
  await again(async () => {
    const { state: saved } = machine.save(await machine.devices.save(Deadline.in(STOPPED_LIMIT_MS)));
    const [message] = new FrameDecoder().push(encodeMessage('state', { ...stateOfSize(0, 0), ...saved }));
    if (message?.type === 'state') await machine.restore(message.body as MachineState);
  });
}
