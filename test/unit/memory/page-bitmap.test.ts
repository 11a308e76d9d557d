import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { PageBitmap } from '../../../src/memory/page-bitmap.js';

function pagesOf(bitmap: PageBitmap): number[] {
  return Array.from({ length: bitmap.pages }, (_, page) => page).filter((page) => bitmap.has(page));
}

function countOf(bitmap: PageBitmap): number {
  return Array.from({ length: bitmap.pages }, (_, page) => bitmap.has(page)).filter(Boolean).length;
}

describe('PageBitmap', () => {
  it.each([0, 1, 30, 31, 32, 33, 63, 64, 99])('sets and clears page %d, and tells whether that changed it', (page) => {
    const bitmap = new PageBitmap(100);
    expect([bitmap.has(page), bitmap.set(page), bitmap.set(page), bitmap.has(page)]).toEqual([
      false,
      true,
      false,
      true,
    ]);
    expect(pagesOf(bitmap)).toEqual([page]);
    expect([bitmap.clear(page), bitmap.clear(page), bitmap.has(page)]).toEqual([true, false, false]);
  });

  it.each([
    [0, 0],
    [0, 1],
    [0, 32],
    [0, 100],
    [31, 1],
    [31, 2],
    [32, 32],
    [5, 60],
    [64, 36],
    [99, 1],
  ])('sets and clears the range %d + %d, and nothing beside it', (first, count) => {
    const range = Array.from({ length: count }, (_, i) => first + i);
    const bitmap = new PageBitmap(100);
    expect(bitmap.setRange(first, count)).toBe(count);
    expect(pagesOf(bitmap)).toEqual(range);
    expect([countOf(bitmap), bitmap.countRange(0, 100), bitmap.countRange(first, count)]).toEqual([
      count,
      count,
      count,
    ]);

    bitmap.setRange(0, 100);
    expect(bitmap.countRange(first, count)).toBe(count);
    expect(bitmap.clearRange(first, count)).toBe(count);
    expect(bitmap.clearRange(first, count)).toBe(0);
    expect(pagesOf(bitmap)).toEqual(Array.from({ length: 100 }, (_, page) => page).filter((p) => !range.includes(p)));
  });

  it('counts only bits that were set in what it clears', () => {
    const bitmap = new PageBitmap(100);
    for (const page of [3, 31, 32, 64]) bitmap.set(page);
    expect(bitmap.clearRange(4, 60)).toBe(2);
    expect(pagesOf(bitmap)).toEqual([3, 64]);
  });

  it('finds the next page', () => {
    const bitmap = new PageBitmap(200);
    for (const page of [0, 31, 32, 63, 130, 199]) bitmap.set(page);
    const next = [0, 1, 31, 32, 33, 63, 64, 131, 199, 200, 1000].map((from) => bitmap.next(from));
    expect(next).toEqual([0, 31, 31, 32, 63, 63, 130, 199, 199, -1, -1]);
    expect(new PageBitmap(200).next(0)).toBe(-1);
  });

  it('claims a run up to its end, its limit, and the end of RAM', () => {
    const bitmap = new PageBitmap(70);
    bitmap.setRange(20, 30);
    bitmap.setRange(60, 10);
    expect(bitmap.claimRun(20, 8)).toBe(8);
    expect(bitmap.claimRun(20, 8)).toBe(0);
    expect(bitmap.claimRun(28, 64)).toBe(22);
    expect(bitmap.claimRun(60, 64)).toBe(10);
    expect(countOf(bitmap)).toBe(0);
  });

  it('is a set of pages, whatever is done to it', () => {
    const change = fc.record({
      how: fc.constantFrom('set', 'clear', 'setRange', 'clearRange', 'claimRun'),
      first: fc.nat(99),
      count: fc.nat(100),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30, size: 'max' }), (changes) => {
        const bitmap = new PageBitmap(100);
        const model = new Set<number>();
        for (const { how, first, count: wanted } of changes) {
          const count = Math.min(wanted, 100 - first);
          const range = Array.from({ length: count }, (_, i) => first + i);
          if (how === 'set') expect(bitmap.set(first)).toBe(!model.has(first) && !!model.add(first));
          else if (how === 'clear') expect(bitmap.clear(first)).toBe(model.delete(first));
          else if (how === 'setRange') {
            bitmap.setRange(first, count);
            for (const page of range) model.add(page);
          } else if (how === 'clearRange') {
            expect(bitmap.clearRange(first, count)).toBe(range.filter((page) => model.delete(page)).length);
          } else {
            const end = range.findIndex((page) => !model.has(page));
            const run = end < 0 ? range : range.slice(0, end);
            expect(bitmap.claimRun(first, count)).toBe(run.length);
            for (const page of run) model.delete(page);
          }
          expect(countOf(bitmap)).toBe(model.size);
        }
        expect(pagesOf(bitmap)).toEqual([...model].sort((a, b) => a - b));
      }),
    );
  });
});

describe('PageBitmap in two threads', () => {
  const PAGES = 200_000;

  /** Claims runs of up to 7 pages from `from` on until none is left, and posts all pages it got. */
  const CLAIMER = `
    import { parentPort, workerData } from 'node:worker_threads';
    const bitmap = new PageBitmap(${PAGES}, workerData.buffer);
    const gate = new Int32Array(workerData.gate);
    Atomics.add(gate, 0, 1);
    Atomics.notify(gate, 0);
    while (Atomics.load(gate, 0) < 2) Atomics.wait(gate, 0, 1, 1000);
    const got = [];
    for (let at = 0; ; ) {
      const first = bitmap.next(at) < 0 ? bitmap.next(0) : bitmap.next(at);
      if (first < 0) break;
      const count = bitmap.claimRun(first, 7);
      for (let page = first; page < first + count; page++) got.push(page);
      at = first + count;
    }
    parentPort.postMessage(Uint32Array.from(got));
  `;

  it('never gives a page to both', async () => {
    const bitmap = new PageBitmap(PAGES);
    bitmap.setRange(0, PAGES);
    const gate = new SharedArrayBuffer(4);
    const source = readFileSync(new URL('../../../src/memory/page-bitmap.ts', import.meta.url), 'utf8');
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    });
    const code = new URL(`data:text/javascript,${encodeURIComponent(outputText + CLAIMER)}`);
    const workers = [0, 1].map(() => new Worker(code, { workerData: { buffer: bitmap.buffer, gate } }));
    const claims = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as Uint32Array));
    const all = claims.flatMap((pages) => [...pages]).sort((a, b) => a - b);
    expect(all).toHaveLength(PAGES);
    expect(all.every((page, i) => page === i)).toBe(true);
    expect(countOf(bitmap)).toBe(0);
  });
});

describe('sets of pages', () => {
  const of = (...extents: number[]) => PageBitmap.of(100, Uint32Array.from(extents));

  it('are made of extents, and counted', () => {
    expect([...of(0, 33, 64, 36).extents()]).toEqual([0, 33, 64, 36]);
    expect([of().count, of(0, 33, 64, 36).count, of(0, 100).count]).toEqual([0, 69, 100]);
  });

  it('are joined, cut and taken away, and the other one stays as it is', () => {
    const other = of(30, 10, 90, 10);
    expect([...of(20, 15).unite(other).extents()]).toEqual([20, 20, 90, 10]);
    expect([...of(20, 15, 95, 1).keep(other).extents()]).toEqual([30, 5, 95, 1]);
    expect([...of(20, 15, 95, 1).remove(other).extents()]).toEqual([20, 10]);
    expect([...other.extents()]).toEqual([30, 10, 90, 10]);
  });
});
