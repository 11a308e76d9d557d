/** The source's rehearsal of what it does while the guest stands still (wire/rehearse-codec.ts says why). */
import { Deadline } from '../../basics/deadline.js';
import { bootRegisters, KVM_SREGS_BYTES } from '../../boot/cpu-registers.js';
import { NoAnswerError } from '../../machine/device-link.js';
import { STOPPED_LIMIT_MS, type Machine } from '../../machine/machine.js';
import { HIGH_MEMORY_START, ZERO_PAGE_ADDRESS } from '../../memory/layout.js';
import { encodeMessage, FrameDecoder } from '../wire/frame.js';
import { again, stateOfSize } from '../wire/rehearse-codec.js';
import { native } from '../../native.js';
import { contentOf, firstPages, withoutLost } from './first-pages.js';

/** A vCPU that pages. */
const PAGING = {
  ...bootRegisters(
    { protocol: 'linux64', entryAddress: HIGH_MEMORY_START, bootInfoAddress: ZERO_PAGE_ADDRESS },
    new Uint8Array(KVM_SREGS_BYTES),
  ),
  msrs: new Uint8Array(0),
};

/** Saves the devices, and encodes STATE of the size this machine's will have. The machine runs meanwhile. */
export async function rehearseCapture(machine: Machine): Promise<void> {
  const state = stateOfSize(machine.cpus, machine.xsaveBytes);
  await again(async () => {
    await rehearseSave(machine);
    contentOf(machine.memory, withoutLost(machine.memory, firstPages(machine.memory, [PAGING])));
    new FrameDecoder().push(encodeMessage('state', state));
  });
}

/** The devices run on, and nobody keeps this: what goes wrong here fails no migration, unless they do not even answer. */
async function rehearseSave({ devices }: Machine): Promise<void> {
  try {
    await devices.save(Deadline.in(STOPPED_LIMIT_MS), native.monotonicMicros());
  } catch (error) {
    if (error instanceof NoAnswerError) throw error;
  }
}
