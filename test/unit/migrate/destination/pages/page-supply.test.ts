import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { PAGE_SIZE } from '../../../../../src/memory/page-size.js';
import { FaultHandler } from '../../../../../src/migrate/destination/pages/fault-handler.js';
import type { PageInstaller } from '../../../../../src/migrate/destination/pages/page-installer.js';
import type { PageSupply } from '../../../../../src/migrate/destination/pages/page-supply.js';
import { POLLIN } from '../../../../../src/native.js';
import { GoSignal } from '../../../../../src/threads/go-signal.js';
import { contentOf } from '../../../threads/channel-pair.js';
import { waitsOf } from '../../../threads/waits-of.js';
import { fakeDestination } from './fake-userfaultfd.js';

const PAGES = 64;
const FAULT_FD = 77;

/** RAM that lies in a file, page after page: what is asked for is read in the supply's next turn. */
class FileSupply implements PageSupply {
  readonly triesAgain = false;
  readonly #asked: number[] = [];
  readonly #page = new Uint8Array(PAGE_SIZE);

  constructor(
    readonly file: number,
    readonly installer: PageInstaller,
  ) {}

  ask(pages: Uint32Array, count: number): void {
    this.#asked.push(...pages.subarray(0, count));
  }

  receive(): boolean {
    const page = this.#asked.shift();
    if (page === undefined) return false;
    readSync(this.file, this.#page, 0, PAGE_SIZE, page * PAGE_SIZE);
    this.installer.expect(page, 1);
    this.installer.install(page, 1, this.#page, 0);
    return true;
  }

  sources(): void {}

  idle(): void {}
}

function openRam(): number {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-supply-'));
  const path = join(directory, 'ram');
  writeFileSync(path, Buffer.concat(Array.from({ length: PAGES }, (_, page) => contentOf(page))));
  const file = openSync(path, 'r');
  onTestFinished(() => {
    closeSync(file);
    rmSync(directory, { recursive: true });
  });
  return file;
}

it('a file can be what a guest takes its pages from: the fault handler knows no socket', () => {
  const { parts, installer, userfaultfd, expectPages, missing, pending, waits, reports, counters } = fakeDestination(
    PAGES,
    FAULT_FD,
  );
  const handler = new FaultHandler(parts, new FileSupply(openRam(), installer), new GoSignal());
  expectPages(0, 4);
  expect(waitsOf(handler)).toEqual([[FAULT_FD, POLLIN]]);
  // Page 9 holds nothing; page 3 is touched by two.
  userfaultfd.faults.push(3, 9, 0, 3);
  while (handler.step());
  expect(userfaultfd.calls).toEqual([
    ['zero', 9, 1],
    ['copy', 3, 1],
    ['copy', 0, 1],
  ]);
  expect([userfaultfd.content(3).equals(contentOf(3)), missing.next(0), pending.waiting]).toEqual([true, 1, 0]);
  userfaultfd.faults.push(1, 2);
  while (handler.step());
  handler.idle();
  expect([missing.next(0), waits.count, counters.get('installed'), reports]).toEqual([-1, 5, 4, ['all-installed']]);
});
