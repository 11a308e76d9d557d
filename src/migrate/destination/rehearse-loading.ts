/** The destination's rehearsal of what it does while the guest stands still (wire/rehearse-codec.ts says why). */
import { Deadline } from '../../basics/deadline.js';
import type { MachineState } from '../../machine/machine-state.js';
import { STOPPED_LIMIT_MS, type Machine } from '../../machine/machine.js';
import { encodeMessage, FrameDecoder } from '../wire/frame.js';
import { again, stateOfSize } from '../wire/rehearse-codec.js';

/** Saves the fresh machine's own state, sends it through the codec, and loads it again. */
export async function rehearseLoading(machine: Machine): Promise<void> {
  await again(async () => {
    const clocks = machine.readClocks();
    const devices = await machine.devices.save(Deadline.in(STOPPED_LIMIT_MS), clocks.moment.atMicros);
    const saved = machine.save(clocks, devices);
    const [message] = new FrameDecoder().push(encodeMessage('state', { ...stateOfSize(0, 0), ...saved }));
    if (message?.type === 'state') await machine.restore(message.body as MachineState);
  });
}
