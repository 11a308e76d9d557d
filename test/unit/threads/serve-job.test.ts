import { once } from 'node:events';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { PostcopyError } from '../../../src/errors.js';
import { servePageJob } from '../../../src/threads/page-worker.js';
import { serveJob } from '../../../src/threads/serve-job.js';

const parent = vi.hoisted((): { port: MessagePort | null } => ({ port: null }));

vi.mock('node:worker_threads', async (original) => ({
  ...(await original<object>()),
  get parentPort() {
    return parent.port;
  },
}));

let main: MessagePort;
beforeEach(() => {
  const { port1, port2 } = new MessageChannel();
  [main, parent.port] = [port1, port2];
  onTestFinished(() => {
    port1.close();
    parent.port = null;
  });
});

const next = async (): Promise<unknown> => (await once(main, 'message'))[0];

describe('serveJob', () => {
  it('says that it is ready, takes its job, and tells what it wants', async () => {
    const work = vi.fn((job: number, tell: (news: { type: 'double'; of: number }) => void) =>
      tell({ type: 'double', of: 2 * job }),
    );
    serveJob<number, { type: 'double'; of: number }>(work);
    expect(await next()).toEqual({ type: 'ready' });
    expect(work).not.toHaveBeenCalled();
    main.postMessage(21);
    expect(await next()).toEqual({ type: 'double', of: 42 });
    expect(work).toHaveBeenCalledOnce();
  });

  it('is for workers', () => {
    parent.port = null;
    expect(() => serveJob(() => {})).toThrow('main thread');
  });
});

describe('servePageJob', () => {
  it.each([
    [new PostcopyError('BAD_PEER', 'no page'), 'BAD_PEER', 'no page'],
    [new Error('ECONNRESET'), 'LINK_LOST', 'ECONNRESET'],
  ])('tells what its work throws: %s', async (error, code, message) => {
    servePageJob(() => {
      throw error;
    });
    await next();
    main.postMessage('job');
    expect(await next()).toEqual({ type: 'failed', code, message });
  });

  it('may tell of a failure and go on', async () => {
    servePageJob<string>((_, tell, fail) => {
      fail(new PostcopyError('LINK_LOST', 'gone', new Error('why')));
      tell({ type: 'all-installed' });
    });
    await next();
    main.postMessage('job');
    expect(await next()).toEqual({ type: 'failed', code: 'LINK_LOST', message: 'gone (why)' });
    expect(await next()).toEqual({ type: 'all-installed' });
  });
});
