import { describe, expect, it } from 'vitest';
import { native } from '../../../../../src/native.js';
import { contentOf } from '../../../threads/channel-pair.js';
import { fakeDestination } from './fake-userfaultfd.js';

const PAGES = 100;
const badPeer = expect.objectContaining({ code: 'BAD_PEER' });

describe('PageInstaller', () => {
  it('takes a page for missing until it is in place: a fault meanwhile must not be answered with zeroes', () => {
    const { installer, userfaultfd, missing, expectPages } = fakeDestination(PAGES);
    expectPages(3, 2);
    let missingThen: boolean[] = [];
    userfaultfd.onCall = () => (missingThen = [3, 4].map((page) => missing.has(page)));
    installer.install(3, 2, Buffer.concat([Buffer.alloc(5), contentOf(3), contentOf(4)]), 5);
    expect([missingThen, missing.next(0)]).toEqual([[true, true], -1]);
    expect([3, 4].every((page) => userfaultfd.content(page).equals(contentOf(page)))).toBe(true);
  });

  it('wakes for pages of zeroes after they are not missing any more: who faults again must be answered', () => {
    const { installer, userfaultfd, missing, pending, waits, expectPages } = fakeDestination(PAGES);
    expectPages(3, 2);
    pending.add(4, native.monotonicMicros());
    let seen: unknown;
    userfaultfd.onCall = (name) => (seen = [name, missing.next(0), pending.waiting]);
    installer.zero(3, 2);
    expect([seen, userfaultfd.present.size, waits.count]).toEqual([['wake', -1, 0], 0, 1]);
  });

  it('counts the pages of its own channel, and tells once, of all channels, that none is left', () => {
    const { installer, another, reports, counters, left, expectPages } = fakeDestination(PAGES);
    expectPages(0, 10);
    const other = another();
    const bytes = Buffer.concat(Array.from({ length: 10 }, (_, page) => contentOf(page)));
    installer.install(0, 4, bytes, 0);
    other.zero(8, 2);
    expect([installer.installed, other.installed, left[0], reports]).toEqual([4, 2, 4, []]);
    other.install(4, 4, bytes, 4 * 4096);
    expect([installer.installed, other.installed, left[0], reports]).toEqual([4, 6, 0, ['all-installed']]);
    expect([counters.get('installed'), other.counters.get('installed')]).toEqual([4, 6]);
  });

  it('does not take a page that is there for one that it has put there', () => {
    const { installer, userfaultfd, missing, left, reports, expectPages } = fakeDestination(PAGES);
    expectPages(3, 4);
    userfaultfd.zero(5, 1); // whoever touched it
    const bytes = Buffer.concat([3, 4, 5, 6].map(contentOf));
    const text = '1 of the pages 3 to 6 of guest RAM had a content here before that of the source came';
    expect(() => installer.install(3, 4, bytes, 0)).toThrow(
      expect.objectContaining({ code: 'INTERNAL', message: expect.stringContaining(text) }),
    );
    expect(() => installer.install(5, 1, bytes, 0)).toThrow('page 5 of guest RAM had');
    expect([missing.has(5), left[0], installer.installed, reports]).toEqual([true, 4, 0, []]);
  });

  it('expects what is missing', () => {
    const { installer, expectPages } = fakeDestination(PAGES);
    expectPages(10, 10);
    expectPages(PAGES - 1, 1);
    installer.expect(10, 10);
    installer.expect(PAGES - 1, 1);
    for (const [first, count] of [
      [9, 2],
      [19, 2],
      [20, 1],
      [PAGES - 1, 2],
      [PAGES, 1],
      [0xffff_ffff, 64],
    ] as const) {
      expect(() => installer.expect(first, count), `${first} + ${count}`).toThrow(badPeer);
    }
  });
});
