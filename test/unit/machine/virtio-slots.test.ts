import { describe, expect, it, vi } from 'vitest';
import { native, type NativeMemory, type NativeVm } from '../../../src/native.js';
import { VirtioSlots } from '../../../src/machine/virtio-slots.js';
import { SOON } from '../devices/virtio/soon.js';

const announce = vi.fn();

vi.mock('../../../src/machine/models.js', () => ({
  buildVirtioDevice: () => ({
    device: {
      deviceId: 1,
      features: 0n,
      queueSizes: [],
      sources: [],
      pause: () => {},
      process: () => {},
      reset: () => {},
    },
    announce,
  }),
}));

function slotsOf(notifyFd: number): VirtioSlots {
  return new VirtioSlots([{ kind: 'rng', slot: 0, notifyFd }], {
    vm: {} as NativeVm,
    memory: {} as NativeMemory,
    releaseFlag: new Int32Array(1),
    report: () => {},
    diskStopped: () => {},
  });
}

describe('VirtioSlots', () => {
  it('does not announce a guest that is paused, perhaps on its way to another host', () => {
    const notifyFd = native.createEventFd();
    const slots = slotsOf(notifyFd);
    slots.announce();
    expect(announce).toHaveBeenCalledTimes(1);
    slots.pause(SOON);
    slots.announce();
    expect(announce).toHaveBeenCalledTimes(1);
    slots.resume();
    slots.announce();
    expect(announce).toHaveBeenCalledTimes(2);
    slots.close();
  });

  it('looks at no notification that was there when it was stopped', () => {
    const notifyFd = native.createEventFd();
    const slots = slotsOf(notifyFd);
    const notify = vi.spyOn(slots.transports[0]!, 'notify').mockReturnValue();
    const [notification] = [...slots.sources()];
    native.signalEventFd(notifyFd);
    slots.hold();
    notification!.run(1);
    expect([...slots.sources()]).toEqual([]);
    expect(notify).not.toHaveBeenCalled();
    slots.resume();
    notification!.run(1);
    expect(notify).toHaveBeenCalledTimes(1);
    slots.close();
  });
});
