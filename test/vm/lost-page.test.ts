/** A page of the guest's RAM that is lost to a memory error of the host. */
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { startSource } from '../support/guest-vms.js';
import { losingPage, pageAt } from '../support/lost-page.js';

useCleanRoom();

/** Of the 128 MiB that a guest has; it fills 8. */
const LOST = pageAt(100);
const EXIT_GUEST_FAILED = 14;

test('a guest that takes no machine checks and comes to it fails, and the page is named', async () => {
  const { vm, guest } = await startSource({ launcher: losingPage(LOST) });
  expect((await vm.client.status()).lostPages).toBeUndefined();
  guest.send('stop');
  guest.send('fill mib=120');
  const end = await vm.ended;
  expect(end.stderr).toContain(`page ${LOST} of its RAM is lost to a memory error of this host`);
  expect(end).toMatchObject({ code: EXIT_GUEST_FAILED, signal: null });
});
