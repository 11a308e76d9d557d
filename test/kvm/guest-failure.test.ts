/** Guests that cannot go on: what is said of their vCPUs, with which exit code. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { startSource } from '../support/guest-vms.js';
import { postcopy } from '../support/postcopy.js';
import { makeElf, MIB } from '../unit/boot/images.js';

const room = useCleanRoom();

const EXIT_GUEST_FAILED = 14;
const REGISTERS = /^postcopy: rip +[0-9a-f]{16} /m;

test('triple fault', async () => {
  const { vm, guest } = await startSource({ fillMib: 0 });
  guest.send('triple_fault');
  const end = await vm.ended;
  expect(end.code).toBe(EXIT_GUEST_FAILED);
  expect(end.stderr).toMatch(/^postcopy: the guest cannot go on: vCPU 0: triple fault/m);
  expect(end.stderr).toMatch(REGISTERS);
});

/** 32-bit code at the PVH entry that fetches its next instruction where there is no memory: `mov eax, 0xd0000000; jmp eax`. */
const FETCH_FROM_HOLE = Buffer.from([0xb8, 0x00, 0x00, 0x00, 0xd0, 0xff, 0xe0]);

test('an instruction that KVM cannot emulate', async () => {
  const kernel = join(room, 'fetch-from-hole.elf');
  writeFileSync(kernel, makeElf({ segments: [{ paddr: MIB, bytes: FETCH_FROM_HOLE }] }));
  onTestFinished(() => rmSync(kernel));
  const words = ['run', '--name', 'vm', '--kernel', kernel, '--memory', '64M', '--cpus', '1', '--serial', 'null'];
  const end = await postcopy(words);
  expect(end.code).toBe(EXIT_GUEST_FAILED);
  expect(end.stderr).toMatch(/^postcopy: the guest cannot go on: vCPU 0: KVM internal error, suberror \d/m);
  expect(end.stderr).toMatch(REGISTERS);
  expect(end.stderr.toLowerCase()).toContain('d0000000');
});
