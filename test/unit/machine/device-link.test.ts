import type { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { native, type NativeMemory, type NativeVm } from '../../../src/native.js';
import { Deadline } from '../../../src/basics/deadline.js';
import { DeviceLink } from '../../../src/machine/device-link.js';
import { SOON } from '../devices/virtio/soon.js';

interface FakeWorker extends EventEmitter {
  asked: { type: string }[];
}

const workers: FakeWorker[] = [];
let closesAfterMs = 0;

vi.mock('../../../src/threads/worker-code.js', async () => {
  const { EventEmitter } = await import('node:events');
  /** Loads at once, and answers 'close' and nothing else. */
  class Worker extends EventEmitter {
    readonly asked: { type: string }[] = [];

    constructor() {
      super();
      workers.push(this);
      setImmediate(() => this.emit('message', { type: 'ready' }));
    }

    postMessage(message: { type: string }): void {
      this.asked.push(message);
      if (message.type === 'close') setTimeout(() => this.emit('exit', 0), closesAfterMs);
    }

    async terminate(): Promise<void> {
      this.emit('exit', 1);
    }

    unref(): void {}
  }
  return {
    WorkerCode: class {
      start = (): Worker => new Worker();
    },
  };
});

const ended = expect.objectContaining({ code: 'INTERNAL' });
const closeFd = vi.spyOn(native, 'closeFd');

async function serving(): Promise<{ link: DeviceLink; worker: FakeWorker }> {
  const link = new DeviceLink();
  link.on('failed', () => {});
  const worker = workers.at(-1)!;
  const [vm, memory] = [{ handle: 1, exitQueueHandle: 2 }, { handle: 3 }];
  const serve = link.serve({ vm: vm as NativeVm, memory: memory as NativeMemory, serialFd: -1, virtio: [] });
  await new Promise((resolve) => setImmediate(resolve));
  setImmediate(() => worker.emit('message', { type: 'answer' }));
  await serve;
  return { link, worker };
}

beforeEach(() => {
  closesAfterMs = 0;
  closeFd.mockClear();
});

describe('the end of the device worker', () => {
  it('answers those who asked it something that it did not come to', async () => {
    const { link } = await serving();
    const closing = link.close();
    const late = link.pressPowerButton();
    await expect(late).rejects.toEqual(ended);
    expect(await closing).toBe(true);
    await expect(link.save(SOON, 0)).rejects.toEqual(ended);
  });

  it('leaves nothing open, whether it was asked for or not', async () => {
    const { link } = await serving();
    await link.close();
    await link.close();
    expect(closeFd).toHaveBeenCalledTimes(1);
    const { link: other, worker } = await serving();
    const save = other.save(SOON, 0);
    worker.emit('error', new Error('it broke'));
    worker.emit('exit', 1);
    await expect(save).rejects.toMatchObject({ code: 'INTERNAL', cause: new Error('it broke') });
    expect(await other.close()).toBe(true);
    expect(closeFd).toHaveBeenCalledTimes(2);
  });

  it('is waited for as long as the first who asks wants to', async () => {
    closesAfterMs = 100;
    const { link: impatient } = await serving();
    expect(await impatient.close(10)).toBe(false);
    const { link: patient } = await serving();
    const closing = patient.close(10_000);
    expect(await patient.close(10)).toBe(true);
    expect(await closing).toBe(true);
  });
});

describe('a device worker that fails', () => {
  it('is known to have failed also to who comes too late to hear of it', async () => {
    const { link, worker } = await serving();
    expect(link.failure).toBeUndefined();
    worker.emit('error', new Error('out of luck'));
    expect(link.failure).toEqual(ended);
    await expect(link.resume()).rejects.toEqual(ended);
  });
});

describe('a device worker that waits for storage', () => {
  it('is not waited for beyond the deadline; its late answers are nobody else’s', async () => {
    const { link, worker } = await serving();
    await expect(link.pause(Deadline.in(20))).rejects.toMatchObject({
      code: 'MIGRATION_FAILED',
      message: 'the devices do not answer',
    });
    const resumed = link.resume();
    const saved = link.save(SOON, 0);
    worker.emit('message', { type: 'refused', code: 'MIGRATION_FAILED', message: 'disk root: too late' });
    worker.emit('message', { type: 'answer' });
    worker.emit('message', { type: 'answer', state: 'saved' });
    expect([await resumed, await saved]).toEqual([undefined, 'saved']);
    await link.close();
  });

  it('says why itself if it can', async () => {
    const { link, worker } = await serving();
    const paused = link.pause(Deadline.in(0));
    worker.emit('message', {
      type: 'refused',
      code: 'MIGRATION_FAILED',
      message: 'disk root: its requests did not end',
    });
    await expect(paused).rejects.toThrow('disk root: its requests did not end');
    await link.close();
  });
});
