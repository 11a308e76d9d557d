/** The end of a process whose threads are in the addon: prompt, without a crash, and without a word. */
import { describe, expect, it } from 'vitest';
import { runNode } from './threads.js';

/** A thread in poll(2), which never returns to its event loop but to look, as all of ours, and one that holds resources. */
const worker = (loop: string, data: string) => `
  const { Worker } = require('node:worker_threads');
  const code = ${JSON.stringify('const native = require(data.loader)(data.root);')};
  const inWorker = new Worker(
    "const { workerData: data, parentPort } = require('node:worker_threads');" + code + ${JSON.stringify(loop)},
    { eval: true, workerData: { loader: require.resolve('node-gyp-build'), root: process.cwd(), ...${data} } },
  );
  inWorker.once('message', () => {
    setTimeout(END, 20);
  });
`;
const IN_POLL = `
  const fd = native.createEventFd();
  ${worker(`parentPort.postMessage('ready'); for (;;) native.poll(Int32Array.of(data.fd, 1, 0), 1, 500);`, '{ fd }')}
`;
const IN_RECEIVE = `
  const listener = new native.Socket('listen', '127.0.0.1', 0);
  const client = new native.Socket('connect', '127.0.0.1', listener.port, 5000);
  ${worker(
    `const socket = new native.Socket(null, data.handle);
     parentPort.postMessage('ready');
     for (;;) try { socket.receive(new Uint8Array(1), 0, 1, 1, 200); } catch {}`,
    '{ handle: client.handle }',
  )}
`;

const quiet = { code: 0, signal: null, stdout: '', stderr: '' };

describe.concurrent('process.exit()', () => {
  it.each([
    ['in poll()', IN_POLL],
    ['in receive()', IN_RECEIVE],
  ])('with a worker %s', async (_, code) => {
    expect(await runNode(`const END = () => process.exit(0); ${code}`)).toEqual(quiet);
  });
});
