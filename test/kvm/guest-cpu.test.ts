/** The CPU of a guest: a level of it boots and moves, or is refused where it cannot be had, and so is what a guest was told. */
import { expect, test } from 'vitest';
import { allowedCpuid } from '../../src/boot/cpuid-allowed.js';
import { highestLevel } from '../../src/boot/cpu-levels.js';
import { decodeCpuid } from '../../src/boot/cpuid-entries.js';
import { decodeMsrs, encodeMsrs } from '../../src/machine/msrs.js';
import { native } from '../../src/native.js';
import { guestBinary } from '../../src/trial/guest-binary.js';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource, verifyWhole } from '../support/guest-vms.js';
import { realHello, refusalOf, stillTakesAVm } from '../support/hostile-source.js';
import { postcopy } from '../support/postcopy.js';

useCleanRoom();

const ARCH_CAPABILITIES = 0x10a;
const RDCL_NO = 1n;

test('x86-64-v2 boots and moves where the host has it; elsewhere it is refused with what is missing', async () => {
  if (highestLevel(allowedCpuid(decodeCpuid(native.kvmSupportedCpuid()))) === undefined) {
    const words = ['--name', 'vm', '--kernel', guestBinary(), '--cpu', 'x86-64-v2', '--serial', 'null'];
    const { code, stderr } = await postcopy(['run', ...words]);
    expect([code, stderr]).toEqual([
      3,
      expect.stringMatching(/is no x86-64-v2, it lacks 0x1\.ecx\.\d+ \(\w+\).*--cpu host boots/),
    ]);
    return;
  }
  const destination = await startDestination();
  const source = await startSource({ words: ['--serial', 'null', '--cpu', 'x86-64-v2'] });
  expect((await source.vm.client.migrate(destination.address, () => {})).status).toBe('completed');
  expect(await destination.vm.client.status()).toMatchObject({ cpu: 'x86-64-v2' });
  expect(await verifyWhole(await destination.vm.guest())).toBeGreaterThan(0);
});

test('a guest that was told of a CPU without a flaw that this one has is refused; with no flaws told it comes', async () => {
  const [hello, destination] = await Promise.all([realHello(), startDestination()]);
  expect(hello.cpu).toBe('host');
  const told = decodeMsrs(hello.constantMsrs);
  expect(told.map(({ index }) => index)).toContain(0x8b); // IA32_BIOS_SIGN_ID, which every KVM has
  const host = decodeMsrs(native.kvmFeatureMsrs()).find(({ index }) => index === ARCH_CAPABILITIES)?.value ?? 0n;
  const sounder = { index: ARCH_CAPABILITIES, value: host | RDCL_NO | (1n << 63n) };
  expect(
    await refusalOf(
      { ...hello, constantMsrs: encodeMsrs([...told.filter(({ index }) => index !== ARCH_CAPABILITIES), sounder]) },
      destination,
    ),
  ).toMatch(/IA32_ARCH_CAPABILITIES \(MSR 0x10a\) this host's CPU lacks .*bit 63/);
  await stillTakesAVm(destination);
});
