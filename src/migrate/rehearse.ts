/**
 * Rehearsals: the code that runs while the guest stands still is run once or twice before, on the state of a machine that
 * has none, so that the real run finds it compiled. The first run of it takes several times as long as the second.
 */
import type { MachineState } from '../run/machine-state.js';
import type { Machine } from '../run/machine.js';
import { encodeMessage, FrameDecoder } from './frame.js';
import type { State } from './message.js';

const RUNS = 3;

/** Source: saves the devices, and encodes STATE of the size this machine's will have. The machine runs meanwhile. */
export async function rehearseCapture(machine: Machine): Promise<void> {
  const part = () => new Uint8Array(1024);
  const vcpu = {
    regs: part(),
    sregs: part(),
    debugregs: part(),
    xcrs: part(),
    xsave: new Uint8Array(machine.xsaveBytes),
    mpState: part(),
    vcpuEvents: part(),
    lapic: part(),
    msrs: part(),
  };
  const state: State = {
    vcpus: Array.from({ length: machine.cpus }, () => vcpu),
    chips: { picMaster: part(), picSlave: part(), ioapic: part(), pit: part() },
    clock: part(),
    devices: {},
    ramMap: part(),
  };
  for (let run = 0; run < RUNS; run++) {
    await machine.devices.save();
    new FrameDecoder().push(encodeMessage('state', state));
  }
}

/** Destination: saves the fresh machine's own state, sends it through the codec, and loads it again. */
export async function rehearseLoading(machine: Machine): Promise<void> {
  for (let run = 0; run < RUNS; run++) {
    const { state: saved } = await machine.save();
    const [message] = new FrameDecoder().push(encodeMessage('state', { ...saved, ramMap: new Uint8Array(0) }));
    if (message?.type === 'state') await machine.restore(message.body as MachineState);
  }
}
