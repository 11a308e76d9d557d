import { describe, expect, it } from 'vitest';
import { Deferred } from '../../../../src/basics/deferred.js';
import { PostcopyError } from '../../../../src/errors.js';
import { PageBitmap } from '../../../../src/memory/page-bitmap.js';
import type { Machine } from '../../../../src/machine/machine.js';
import { RecentPages } from '../../../../src/migrate/prefetch/recent-pages.js';
import type { WriteHistory } from '../../../../src/migrate/prefetch/write-history.js';
import type { RoundsGoal } from '../../../../src/migrate/source/next-round.js';
import { Rounds } from '../../../../src/migrate/source/rounds.js';

const PAGES = 1000;
const GOAL: RoundsGoal = { mode: 'pre-copy', downtimeMs: 1, timeoutMs: 50_000, onTimeout: 'cancel' };
const pairs = (...extents: number[]) => Uint32Array.from(extents);

/** A guest whose pages are written as `dirty` says, one entry an answer, then none. */
function setUp(goal: Partial<RoundsGoal> = {}, dirty: Uint32Array[] = [], data = pairs(0, 600)) {
  const log: string[] = [];
  const uncopied = new PageBitmap(PAGES);
  const recent = new RecentPages(PAGES);
  let copies = 0;
  let copying: Promise<void> = Promise.resolve();
  const channels = {
    addCopies: (extents: Uint32Array) => void uncopied.add(extents),
    uncopied: () => uncopied.copy(),
    takeUncopied: () => {
      const taken = uncopied.copy();
      uncopied.clearAll();
      return taken;
    },
    copy: async () => {
      log.push(`copies ${uncopied.extents().join(' ')}`);
      await copying;
      copies += uncopied.count;
      uncopied.clearAll();
    },
    stopCopying: async () => void log.push('stops'),
    pushFirst: (written: WriteHistory, among?: PageBitmap) => written.tell(recent, among),
    sum: (name: string) => (name === 'copies' ? copies : 0),
  };
  const answer = () => dirty.shift() ?? new Uint32Array(0);
  const dirtyLog = {
    kind: 'userfaultfd',
    collect: async () => answer(),
    collectNow: answer,
    end: () => log.push('ends'),
  };
  const machine = {
    memory: { bytes: PAGES * 4096, findDataExtents: async () => data, dataExtents: () => data },
    beginDirtyLog: async () => dirtyLog,
    hostDevices: { disks: { presync: async () => void log.push('presync') } },
    ...{ cpus: 1, xsaveBytes: 832 },
  };
  const limit = { lift: () => void log.push('limit is lifted'), restore: () => void log.push('limit holds') };
  const rounds = new Rounds(machine as unknown as Machine, channels, { ...GOAL, ...goal }, limit);
  const stop = new AbortController();
  const run = () => rounds.run(stop.signal, () => 100);
  const hold = (until: Promise<void>) => void (copying = until);
  return { rounds, recent, run, stop, log, hold, machine, settle: () => rounds.settle(stop.signal) };
}

describe('Rounds', () => {
  it('copy all that holds data, then what was written since, until nothing is left', async () => {
    const { rounds, run, settle, log } = setUp({}, [pairs(5, 300), pairs(7, 2)]);
    await run();
    expect(log).toEqual(['copies 0 600', 'copies 5 300', 'copies 7 2', 'stops']);
    expect(rounds.totals).toMatchObject({ count: 3, distinctPages: 600 });
    const { held, lacking } = await settle();
    expect([[...held], [...lacking]]).toEqual([[0, 600], []]);
  });

  it('of pre-copy have what was written at last sent while the guest stands still', async () => {
    const { run, settle, log } = setUp({}, [pairs(), pairs(9, 1)]);
    await run();
    const { held, lacking } = await settle();
    expect(log).toEqual(['copies 0 600', 'stops', 'limit is lifted', 'copies 9 1', 'stops', 'limit holds']);
    expect([[...held], [...lacking]]).toEqual([[0, 600], []]);
  });

  it('of hybrid end when one does not pay, and leave the rest to post-copy', async () => {
    const { rounds, run, settle, log } = setUp({ mode: 'hybrid' }, [pairs(0, 290), pairs(0, 280), pairs(100, 250)]);
    await run();
    expect(log).toEqual(['copies 0 600', 'copies 0 290', 'stops']);
    const { held, lacking } = await settle();
    expect([[...held], [...lacking]]).toEqual([
      [350, 250],
      [0, 350],
    ]);
    expect(rounds.totals.distinctPages).toBe(600);
  });

  it('tell of what is left where the guest has written in most of them, and at last', async () => {
    const { rounds, recent, run, settle } = setUp({ mode: 'hybrid' }, [
      pairs(0, 290),
      pairs(0, 32, 64, 236),
      pairs(0, 32, 400, 32),
    ]);
    await run();
    rounds.pushWrittenFirst(); // nothing is left yet
    expect(recent.count).toBe(0);
    const { lacking } = await settle();
    expect([...lacking]).toEqual([0, 32, 64, 236, 400, 32]);
    rounds.pushWrittenFirst();
    const firsts = Array.from({ length: recent.count }, (_, i) => recent.first(i));
    expect(firsts[0]).toBe(0);
    expect(firsts).toContain(400);
    expect(firsts).not.toContain(32);
  });

  it('leave nothing to tell of where all of it was sent', async () => {
    const { rounds, recent, run, settle } = setUp({}, [pairs(), pairs(9, 1)]);
    await run();
    await settle();
    rounds.pushWrittenFirst();
    expect(recent.count).toBe(0);
  });

  it('hold no page that was given back since, and lack those that hold data without having been told of', async () => {
    const { run, settle, machine } = setUp({ mode: 'hybrid' });
    await run();
    machine.memory.dataExtents = () => pairs(0, 10, 700, 5);
    const { held, lacking } = await settle();
    expect([[...held], [...lacking]]).toEqual([
      [0, 10],
      [700, 5],
    ]);
  });

  it('end in the middle of one when the time is up: what was not copied is lacking', async () => {
    const { run, settle, log, hold } = setUp({ timeoutMs: 20, onTimeout: 'post-copy' }, [pairs(0, 5)]);
    hold(new Promise(() => {}));
    await run();
    expect(log).toEqual(['copies 0 600', 'stops', 'stops']);
    const { held, lacking } = await settle();
    expect([[...held], [...lacking]]).toEqual([[], [0, 600]]);
  });

  it('say that the guest is too fast, and what can be done', async () => {
    const { run, rounds, log, hold } = setUp({ timeoutMs: 1 }, [pairs(0, 600)]);
    hold(new Promise(() => {}));
    await expect(run()).rejects.toMatchObject({
      code: 'MIGRATION_FAILED',
      message: expect.stringMatching(
        /after 1 rounds .* 600 pages were still to be sent, .* in mode hybrid or post-copy/,
      ),
    });
    await rounds.end();
    await rounds.end();
    expect(log.filter((it) => it === 'ends')).toHaveLength(1);
  });

  it('are called off in the middle of one, and write to no log any more', async () => {
    const { run, rounds, stop, log, hold } = setUp();
    hold(new Promise(() => {}));
    const running = run();
    while (log.length === 0) await new Promise(setImmediate);
    stop.abort(new PostcopyError('MIGRATION_FAILED', 'it was cancelled'));
    await expect(running).rejects.toThrow('it was cancelled');
    await rounds.end();
    expect(log.at(-1)).toBe('ends');
  });

  it('end a log that begins when nobody wants it any more', async () => {
    const { run, rounds, stop, log, machine } = setUp();
    const beginning = new Deferred<Awaited<ReturnType<typeof machine.beginDirtyLog>>>();
    const begun = await machine.beginDirtyLog();
    machine.beginDirtyLog = () => beginning.promise;
    const running = run();
    stop.abort(new PostcopyError('MIGRATION_FAILED', 'it was cancelled'));
    await expect(running).rejects.toThrow('it was cancelled');
    const ended = rounds.end();
    beginning.resolve(begun);
    await ended;
    expect(log).toEqual(['ends']);
  });
});
