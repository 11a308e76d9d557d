import { closeSync, mkdtempSync, openSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { native, POLLHUP, POLLIN, POLLOUT } from '../../src/native.js';
import { next, runNode, startWorker } from './threads.js';

function eventFd(): number {
  const fd = native.createEventFd();
  onTestFinished(() => native.closeFd(fd));
  return fd;
}

function socketPair(): [number, number] {
  const pair = native.socketPair();
  onTestFinished(() => pair.forEach((fd) => native.closeFd(fd)));
  return pair;
}

function read(fd: number, room = 16): number[] | number {
  const into = new Uint8Array(room);
  const got = native.readFd(fd, into);
  return got > 0 ? [...into.subarray(0, got)] : got;
}

describe('poll', () => {
  it('tells which descriptors are ready, and of what', () => {
    const [quiet, ready] = [eventFd(), eventFd()];
    native.signalEventFd(ready);
    const set = Int32Array.of(quiet, POLLIN, 77, ready, POLLIN, 77, ready, POLLOUT | POLLIN, 77);
    expect(native.poll(set, 3, 1000)).toBe(2);
    expect([set[2], set[5], set[8]]).toEqual([0, POLLIN, POLLIN | POLLOUT]);
  });

  it('looks at no more than `count`, and leaves the rest', () => {
    const ready = eventFd();
    native.signalEventFd(ready);
    const set = Int32Array.of(eventFd(), POLLIN, 77, ready, POLLIN, 77);
    expect(native.poll(set, 1, 0)).toBe(0);
    expect([set[2], set[5]]).toEqual([0, 77]);
    expect(native.poll(set, 0, 0)).toBe(0);
  });

  it('passes over negative descriptors, and clears what they had', () => {
    const set = Int32Array.of(-1, POLLIN, 77);
    expect([native.poll(set, 1, 0.5), set[2]]).toEqual([0, 0]);
  });

  it('tells of the other end that has gone', () => {
    const [one, other] = native.socketPair();
    onTestFinished(() => native.closeFd(one));
    native.closeFd(other);
    const set = Int32Array.of(one, POLLIN, 0);
    expect(native.poll(set, 1, -1)).toBe(1);
    expect(set[2]! & POLLHUP).toBe(POLLHUP);
  });

  it('wakes in another thread', async () => {
    const fd = eventFd();
    const worker = startWorker(
      `post('waits');
       const set = Int32Array.of(data, 1, 0);
       post([native.poll(set, 1, -1), set[2]]);`,
      fd,
    );
    expect(await next(worker)).toBe('waits');
    const answer = next(worker);
    native.signalEventFd(fd);
    expect(await answer).toEqual([1, POLLIN]);
  });
});

describe('event descriptors', () => {
  it('are signalled any number of times, and drained once', () => {
    const fd = eventFd();
    expect(native.drainEventFd(fd)).toBe(false);
    native.signalEventFd(fd);
    native.signalEventFd(fd);
    expect(native.drainEventFd(fd)).toBe(true);
    expect(native.drainEventFd(fd)).toBe(false);
  });
});

describe('socketPair', () => {
  it('carries bytes both ways, and never waits', () => {
    const [one, other] = socketPair();
    expect(read(other)).toBe(-1);
    expect(native.writeFd(one, Uint8Array.of(1, 2, 3))).toBe(3);
    expect(native.writeFd(other, Uint8Array.of(9))).toBe(1);
    expect([read(other, 2), read(other), read(other), read(one)]).toEqual([[1, 2], [3], -1, [9]]);
  });

  it('takes no more than fits', () => {
    const [one, other] = socketPair();
    const bytes = new Uint8Array(64 * 1024);
    let total = 0;
    for (let put = -1; put !== 0; total += put) put = native.writeFd(one, bytes);
    expect(total).toBeGreaterThan(0);
    expect(read(other, 3)).toEqual([0, 0, 0]);
  });

  it('tells of the end', () => {
    const [one, other] = native.socketPair();
    onTestFinished(() => native.closeFd(one));
    native.writeFd(other, Uint8Array.of(5));
    native.closeFd(other);
    expect([read(one), read(one)]).toEqual([[5], 0]);
    expect(() => native.writeFd(one, Uint8Array.of(1))).toThrow(expect.objectContaining({ code: 'EPIPE' }));
  });
});

describe('a descriptor that is not open', () => {
  const file = openSync('/dev/null', 'r');
  closeSync(file);
  const bad = expect.objectContaining({ code: 'EBADF', errno: 9 });

  it('fails with the name of the error', () => {
    expect(() => native.readFd(file, new Uint8Array(1))).toThrow(bad);
    expect(() => native.writeFd(file, new Uint8Array(1))).toThrow(bad);
    expect(() => native.signalEventFd(file)).toThrow(bad);
    expect(() => native.drainEventFd(file)).toThrow(bad);
  });
});

describe('lockFile', () => {
  const directory = mkdtempSync(join(tmpdir(), 'lock-file-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  const tryInOtherProcess = (path: string) =>
    runNode(
      `try { native.lockFile(${JSON.stringify(path)}); console.log('locked'); } catch (error) { console.log(error.code); }`,
    );

  it('keeps another process out until it is closed', async () => {
    const path = join(directory, 'one');
    const fd = native.lockFile(path);
    expect((await tryInOtherProcess(path)).stdout).toBe('EWOULDBLOCK\n');
    expect(() => native.lockFile(path)).toThrow(expect.objectContaining({ code: 'EWOULDBLOCK', syscall: 'flock' }));
    native.closeFd(fd);
    expect((await tryInOtherProcess(path)).stdout).toBe('locked\n');
  });

  it('is let go when its process ends, however', async () => {
    const path = join(directory, 'two');
    const { signal } = await runNode(`native.lockFile(${JSON.stringify(path)}); process.kill(process.pid, 'SIGKILL');`);
    expect(signal).toBe('SIGKILL');
    native.closeFd(native.lockFile(path));
  });

  it('follows no link, and makes no directory', () => {
    symlinkSync('/dev/null', join(directory, 'link'));
    expect(() => native.lockFile(join(directory, 'link'))).toThrow(expect.objectContaining({ code: 'ELOOP' }));
    expect(() => native.lockFile(join(directory, 'no', 'where'))).toThrow(
      expect.objectContaining({ code: 'ENOENT', syscall: 'open', message: expect.stringContaining('where') as string }),
    );
  });
});

describe('the clock', () => {
  it('is CLOCK_MONOTONIC, as process.hrtime', () => {
    const before = Number(process.hrtime.bigint()) / 1000;
    const between = native.monotonicMicros();
    const after = Number(process.hrtime.bigint()) / 1000;
    // Nanoseconds beyond 2^53 are rounded.
    expect(between).toBeGreaterThanOrEqual(before - 1);
    expect(between).toBeLessThanOrEqual(after + 1);
  });
});

describe('setThread', () => {
  /** Name and nice value of the calling thread. */
  const SHOWN = `(() => {
    const stat = require('node:fs').readFileSync('/proc/thread-self/stat', 'latin1');
    const end = stat.lastIndexOf(')');
    return [stat.slice(stat.indexOf('(') + 1, end), Number(stat.slice(end + 2).split(' ')[16])];
  })()`;
  const shown = () => next(startWorker(`post(${SHOWN})`));

  it('names the calling thread, and no other', async () => {
    const before = await shown();
    const set = startWorker(`post([native.setThread('fifteen-bytes-x', 19), ...${SHOWN}])`);
    expect(await next(set)).toEqual([true, 'fifteen-bytes-x', 19]);
    expect(await shown()).toEqual(before);
  });

  it('gives the name also where the priority is not permitted, and says so', async () => {
    const { stdout } = await runNode(`
      if (process.getuid() === 0) process.setuid(65534);
      const [, before] = ${SHOWN};
      const permitted = native.setThread('named', -20);
      const [name, nice] = ${SHOWN};
      console.log(JSON.stringify([permitted, name, nice - before]));`);
    expect(JSON.parse(stdout)).toEqual([false, 'named', 0]);
  });
});

describe('connectDatagrams()', () => {
  it.each([
    ['a path', () => join(mkdtempSync(join(tmpdir(), 'postcopy-notify-')), 'socket')],
    ['an abstract address', () => `@postcopy-notify-${process.pid}`],
  ])('writes to %s', async (_, make) => {
    const path = make();
    const code = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace('@', chr(0), 1))
print('bound', flush=True)
print(s.recv(100).decode(), flush=True)`;
    const receiver = spawn('python3', ['-c', code, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void receiver.kill('SIGKILL'));
    if (path.startsWith('/')) onTestFinished(() => rmSync(dirname(path), { recursive: true }));
    const lines = createInterface(receiver.stdout)[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe('bound');
    const fd = native.connectDatagrams(path);
    expect(native.writeFd(fd, Buffer.from('READY=1'))).toBe(7);
    native.closeFd(fd);
    expect((await lines.next()).value).toBe('READY=1');
  });

  it('says that nobody is there', () => {
    expect(() => native.connectDatagrams('/nowhere/socket')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});
