import { expect, it, onTestFinished } from 'vitest';
import { copyAll } from '../../src/migrate/destination/pages/copy-all.js';
import { native } from '../../src/native.js';

const PAGE = 4096;

it('RAM that was touched before its faults came to us is not taken for what the source sent', () => {
  const memory = new native.GuestMemory(8 * PAGE, 'anonymous');
  const userfaultfd = new native.Userfaultfd(memory);
  onTestFinished(() => {
    userfaultfd.close();
    memory.close();
  });
  memory.write(5 * PAGE, Uint8Array.of(1));
  userfaultfd.register(0, 8, false);
  const content = new Uint8Array(4 * PAGE).fill(9);
  copyAll(userfaultfd, 0, 4, content, 0);
  const code = 'INTERNAL';
  expect(() => copyAll(userfaultfd, 4, 4, content, 0)).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining('1 of the pages 4 to 7') }),
  );
  expect(() => copyAll(userfaultfd, 5, 1, content, 0)).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining('page 5') }),
  );
});
