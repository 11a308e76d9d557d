/** A page of the guest's RAM that is lost to a memory error of the host. */
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource } from '../support/guest-vms.js';
import { losingPage, pageAt } from '../support/lost-page.js';

useCleanRoom();

/** Of the 128 MiB that a guest has. */
const LOST = pageAt(24);
const TOUCH = 'fill mib=32';
const EXIT_GUEST_FAILED = 14;
const NAMED = `page ${LOST} of its RAM is lost to a memory error of this host`;

test('a guest that takes no machine checks and comes to it fails, and the page is named', async () => {
  const { vm, guest } = await startSource({ fillMib: 0, launcher: losingPage(LOST) });
  expect((await vm.client.status()).lostPages).toBeUndefined();
  guest.send(TOUCH);
  const end = await vm.ended;
  expect(end.stderr).toContain(NAMED);
  expect(end).toMatchObject({ code: EXIT_GUEST_FAILED, signal: null });
});

test('a guest moves without it, and finds it lost where it is then', async () => {
  const { vm } = await startSource({ launcher: losingPage(LOST) });
  const to = await startDestination();
  const { status, pages } = await vm.client.migrate(to.address, () => {});
  expect([status, pages.resent]).toEqual(['completed', 0]);
  expect((await vm.ended).stderr).toMatch(/1 pages of the memory of vm are lost to memory errors.* has been told/);
  expect(await to.vm.client.status()).toMatchObject({ state: 'running', lostPages: 1 });
  const guest = await to.vm.guest();
  expect(await guest.verify(0)).toMatchObject({ bad: 0 });
  guest.send(TOUCH);
  const end = await to.vm.ended;
  expect(end.stderr).toContain(`page ${LOST} of the memory of vm was lost to a memory error of the host`);
  expect(end.stderr).toContain(NAMED);
  expect(end).toMatchObject({ code: EXIT_GUEST_FAILED, signal: null });
});
