/** Whatever buffers a driver has, and whenever it adds them: frames come whole, in their order, and are counted right. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { NET_FEATURES, VIRTIO_NET_F_MRG_RXBUF } from '../../../../../src/devices/virtio/net/features.js';
import type { DescriptorChain } from '../../../../../src/devices/virtio/virtio-device.js';
import { POLLIN } from '../../../../../src/native.js';
import { Rig, frameOf } from './rig.js';

const chainSizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 4 });
const step = fc.oneof(
  fc.record({ add: fc.array(chainSizes, { minLength: 1, maxLength: 30 }) }),
  fc.record({ frame: fc.integer({ min: 26, max: 3000 }) }),
  fc.constant({ turn: true }),
  fc.constant({ pause: true }),
);

it.each([NET_FEATURES, NET_FEATURES & ~VIRTIO_NET_F_MRG_RXBUF])('with features %d', (features) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const rig = new Rig(features).start();
      const chains = new Map<number, DescriptorChain>();
      const sent: string[] = [];
      for (const action of steps) {
        if ('add' in action) {
          for (const sizes of action.add) {
            const chain = rig.receiveq.add([], sizes);
            chains.set(chain.head, chain);
          }
          rig.device.process();
        } else if ('frame' in action) {
          const frame = frameOf(action.frame, sent.length);
          rig.tap.waiting.push(frame);
          sent.push(Buffer.from(frame.subarray(12)).toString('hex'));
        } else if ('pause' in action) {
          rig.device.pause();
          expect(rig.receiveq.inFlight).toBe(0);
          rig.device.process();
        } else {
          rig.turn(POLLIN);
        }
      }
      // In order; some may be lost, where they did not fit.
      let at = -1;
      for (const frame of received(rig, chains)) {
        at = sent.indexOf(frame, at + 1);
        expect(at).toBeGreaterThanOrEqual(0);
      }
    }),
  );
});

function received(rig: Rig, chains: Map<number, DescriptorChain>): string[] {
  const frames: string[] = [];
  const used = [...rig.receiveq.used];
  while (used.length > 0) {
    const parts = [contents(rig, chains, used[0]!)];
    const header = (): number[] => parts.flat();
    const next = (): number => parts.push(contents(rig, chains, used[parts.length]!));
    while (header().length < 12) next();
    const buffers = header()[10]! + 256 * header()[11]!;
    while (parts.length < buffers) next();
    expect(parts.length).toBe(buffers);
    used.splice(0, buffers);
    frames.push(Buffer.from(parts.flat().slice(12)).toString('hex'));
  }
  return frames;
}

function contents(rig: Rig, chains: Map<number, DescriptorChain>, used: { head: number; written: number }): number[] {
  return rig.receiveq.contents(chains.get(used.head)!, used.written);
}
