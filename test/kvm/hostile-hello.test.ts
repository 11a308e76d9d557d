/** What a HELLO says of vCPUs and KVM, by mistake or on purpose, that no destination can have. */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Hello } from '../../src/migrate/wire/message.js';
import { native } from '../../src/native.js';
import { useCleanRoom } from '../support/clean-room.js';
import { FakeChannel, greet } from '../support/fake-peers.js';
import { startDestination } from '../support/guest-vms.js';
import { realHello, refusalOf, settledDescriptors, stillTakesAVm } from '../support/hostile-source.js';

useCleanRoom();

const ID = new Uint8Array(16).fill(7);
const NO_XSAVE: Partial<Hello> = { xsaveBytes: 1 };
const TSC_OUT_OF_THIS_WORLD: Partial<Hello> = { tscKhz: Number.MAX_SAFE_INTEGER };

/** No source of ours says these: they are no HELLO, and nobody is answered. */
const noHellos: [string, Partial<Hello>][] = [
  ['more vCPUs than KVM can have', { cpuid: Array.from({ length: 5000 }, () => new Uint8Array(0)) }],
  ['half a CPUID entry', { cpuid: [new Uint8Array(39)] }],
];

const hellos: [string, Partial<Hello>, RegExp][] = [
  ['too many vCPUs', { cpuid: Array.from({ length: 1000 }, () => new Uint8Array(0)) }, /it has 1000 vCPUs/],
  ['no CPUID entry', { cpuid: [new Uint8Array(0)] }, /./],
  ['a TSC out of this world', TSC_OUT_OF_THIS_WORLD, /./],
  ['no XSAVE state', NO_XSAVE, /XSAVE/],
];

test('another TSC frequency: taken only where KVM scales it, whatever KVM says when it is set', async () => {
  const scales = native.kvmProbe().capabilities['tscControl'] === 1;
  const hello = await realHello();
  for (const tscKhz of [Math.round(hello.tscKhz * 1.001), Math.round(hello.tscKhz * 0.999)]) {
    const destination = await startDestination();
    const control = FakeChannel.open(destination.address);
    expect(await greet(control, 'control', ID)).toBe('welcome');
    control.send('hello', { ...hello, tscKhz });
    if (scales) expect(await control.message('accept')).toBeDefined();
    else {
      const why = `its TSC runs at ${tscKhz} kHz; this host's at ${hello.tscKhz} kHz, and its CPU cannot scale it`;
      expect((await control.message('refuse'))?.reasons).toEqual([why]);
    }
    control.socket.destroy();
  }
});

test('absurd values: refused, with the reason, or no HELLO at all', async () => {
  const [hello, destination] = await Promise.all([realHello(), startDestination()]);
  for (const [what, part] of noHellos)
    expect(await refusalOf({ ...hello, ...part }, destination), what).toBe(undefined);
  for (const [what, part, why] of hellos) {
    expect(await refusalOf({ ...hello, ...part }, destination), what).toMatch(why);
  }
  await stillTakesAVm(destination);
});

test('machines that were built and then refused, or not built to the end, leave nothing open', async () => {
  const [hello, destination] = await Promise.all([realHello(), startDestination()]);
  const count = (what: 'fd' | 'task') => readdirSync(`/proc/${destination.vm.pid}/${what}`).length;
  const both = async () => {
    for (const part of [NO_XSAVE, TSC_OUT_OF_THIS_WORLD]) {
      expect(await refusalOf({ ...hello, ...part }, destination)).toBeDefined();
    }
  };
  await both();
  await settledDescriptors(destination);
  const before = { fd: count('fd'), task: count('task') };
  for (let i = 0; i < 4; i++) await both();
  await settledDescriptors(destination);
  await expect.poll(() => count('fd') - before.fd).toBeLessThan(4);
  await expect.poll(() => count('task') - before.task).toBeLessThan(4);
  await stillTakesAVm(destination);
});
