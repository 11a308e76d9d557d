import { describe, expect, it, vi } from 'vitest';
import type { VmEnd } from '../../../src/vm/service.js';
import { cannotReact, shutDown } from '../../../src/vm/shut-down.js';

const OFF: VmEnd = { reason: 'power-off', message: 'the guest powered itself off' };

function shutDownOf(ended: Promise<VmEnd>, press = async () => {}, timeoutMs = 5000): Promise<void> {
  return shutDown({ name: 'vm1', ended, timeoutMs, press });
}

describe('a guest', () => {
  it('that reacts has ended when it is answered', async () => {
    let end!: (how: VmEnd) => void;
    const press = vi.fn(async () => void setTimeout(() => end(OFF), 20));
    await shutDownOf(new Promise((resolve) => (end = resolve)), press);
    expect(press).toHaveBeenCalledOnce();
  });

  it('that does not react in time', async () => {
    await expect(shutDownOf(new Promise(() => {}), async () => {}, 20)).rejects.toMatchObject({
      code: 'NO_REACTION',
      message: expect.stringMatching(/0\.02 s .* cut its power$/),
      facts: [{ kind: 'no-reaction', name: 'vm1' }],
    });
  });

  it('whose devices do not even take notice', async () => {
    const press = (): Promise<void> => new Promise(() => {});
    await expect(shutDownOf(new Promise(() => {}), press, 20)).rejects.toMatchObject({ code: 'NO_REACTION' });
  });

  it('that fails while it shuts down', async () => {
    const failed: VmEnd = { reason: 'failed', message: 'triple fault', code: 'GUEST_FAILED' };
    await expect(shutDownOf(Promise.resolve(failed))).rejects.toMatchObject({
      code: 'GUEST_FAILED',
      message: 'triple fault',
    });
  });

  it('that has moved meanwhile', async () => {
    const moved: VmEnd = { reason: 'migrated', message: 'vm1 has moved to b:1' };
    await expect(shutDownOf(Promise.resolve(moved))).rejects.toMatchObject({
      code: 'WRONG_STATE',
      message: 'vm1 has moved to b:1 meanwhile: stop it there',
    });
  });

  it('whose button cannot be pressed', async () => {
    const press = () => Promise.reject(new Error('the device worker has ended'));
    await expect(shutDownOf(new Promise(() => {}), press)).rejects.toMatchObject({ code: 'WRONG_STATE' });
  });
});

it.each(['running', 'migrating', 'stopped', 'migrated', 'failed'] as const)('%s: may be asked', (state) =>
  expect(cannotReact('vm1', state, 'a:1')).toBe(undefined),
);

it.each([
  ['paused', 'resume it first'],
  ['incoming', 'is just coming from a:1'],
  ['link-lost', 'is halted and cannot react'],
] as const)('%s: cannot react', (state, why) => expect(cannotReact('vm1', state, 'a:1')?.text).toContain(why));
