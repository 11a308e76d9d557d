import { Worker } from 'node:worker_threads';
import { describe, expect, it, vi } from 'vitest';
import { WorkerHandle } from '../../../src/threads/worker-handle.js';

type News = { type: 'sum'; of: number[]; sum: number } | { type: 'asked'; what: string };

/** A worker that is plain JavaScript: it says that it is loaded, and does what the test wants with `port`. */
function start(code: string): WorkerHandle<number[], News, string> {
  const module = `import { parentPort as port } from 'node:worker_threads'; ${code}`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(module)}`);
  return new WorkerHandle({ start: () => new Worker(url) }, 'adder');
}

const READY = `port.postMessage({ type: 'ready' });`;
const ADD = `
  port.once('message', (job) => {
    port.postMessage({ type: 'sum', of: job, sum: job.reduce((a, b) => a + b) });
    port.once('message', (what) => port.postMessage({ type: 'asked', what }));
  });
`;

function told<Value>(subscribe: (listener: (value: Value) => void) => void): Promise<Value> {
  return new Promise((resolve) => subscribe(resolve));
}

describe('WorkerHandle', () => {
  it('gives a worker its job, hands on what it tells by its type, and is there until it ends by itself', async () => {
    const worker = start(ADD + READY);
    await worker.loaded;
    const sums = vi.fn();
    worker.on('sum', sums);
    const asked = told<{ what: string }>((listener) => worker.on('asked', listener));
    worker.run([1, 2, 3]);
    worker.post('more');
    expect((await asked).what).toBe('more');
    expect(sums.mock.calls).toEqual([[{ type: 'sum', of: [1, 2, 3], sum: 6 }]]);
    await worker.end();
  });

  it('may give the job before the code is loaded', async () => {
    const worker = start(ADD + READY);
    const sum = told<{ sum: number }>((listener) => worker.on('sum', listener));
    worker.run([4, 5]);
    expect((await sum).sum).toBe(9);
    worker.post('');
    await worker.end();
  });

  it('ends one that has no job and would wait for ever', async () => {
    const worker = start(ADD + READY);
    await worker.loaded;
    await worker.end();
    await worker.exited;
  });

  it('tells of what a worker throws', async () => {
    const worker = start(`${READY} port.once('message', () => { throw new Error('no sum') });`);
    const failed = told<Error>((listener) => worker.onFailed(listener));
    await worker.loaded;
    worker.run([]);
    expect(await failed).toMatchObject({
      code: 'INTERNAL',
      message: 'the adder failed',
      cause: expect.objectContaining({ message: 'no sum' }),
    });
    await worker.end();
  });

  it('tells of what a worker says has failed, as it says it', async () => {
    const failure = `port.postMessage({ type: 'failed', code: 'LINK_LOST', message: 'no link' })`;
    const worker = start(`${READY} port.once('message', () => ${failure});`);
    const failed = told<Error>((listener) => worker.onFailed(listener));
    worker.run([]);
    expect(await failed).toMatchObject({ code: 'LINK_LOST', message: 'no link' });
    await worker.end();
  });

  it('is not loaded if its code throws, or ends', async () => {
    const broken = start(`throw new Error('no code');`);
    await expect(broken.loaded).rejects.toThrow('no code');
    const silent = start('');
    await expect(silent.loaded).rejects.toMatchObject({ code: 'INTERNAL', message: 'the adder has ended' });
    await Promise.all([broken.exited, silent.exited]);
  });

  it('can be ended at its job', async () => {
    const worker = start(`${READY} port.once('message', () => { for (;;); });`);
    await worker.loaded;
    worker.run([]);
    await worker.terminate();
    await worker.exited;
  });
});
