/**
 * The device worker: all device models of one VM, on a thread of their own. Once it has its job it waits in poll(2) for
 * vCPU exits, serial input and requests of the main thread, and does not return to its event loop before it ends.
 */
import { parentPort, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { DeviceSet } from '../devices/device-set.js';
import { describeError } from '../errors.js';
import { native, POLLIN, POLLOUT, type ExitQueue } from '../native.js';
import type { DeviceJob, DeviceReply, DeviceRequest } from './device-messages.js';
import { ExitDispatch } from './exit-dispatch.js';
import { SerialLine } from './serial-line.js';

/** worker.terminate() takes effect between system calls, so none may last for ever. */
const LONGEST_WAIT_MS = 500;

const port = parentPort as MessagePort;
const reply = (message: DeviceReply): void => port.postMessage(message);

class DeviceWorker {
  readonly #job: DeviceJob;
  readonly #exits: ExitQueue;
  readonly #line: SerialLine;
  readonly #devices: DeviceSet;
  readonly #dispatch: ExitDispatch;

  constructor(job: DeviceJob) {
    const vm = new native.Vm(null, job.vmHandle);
    this.#job = job;
    this.#exits = new native.ExitQueue(null, job.exitQueueHandle);
    this.#line = new SerialLine(job.serialFd);
    this.#devices = new DeviceSet({
      setIrq: (gsi, level) => vm.setIrq(gsi, level),
      serialOutput: (bytes) => this.#line.write(bytes),
      powerOff: () => reply({ type: 'power-off' }),
      reset: (source) => reply({ type: 'reset', source }),
      nowMicros: () => native.monotonicMicros(),
    });
    this.#dispatch = new ExitDispatch(this.#exits, this.#devices, (stop) => reply({ type: 'vcpu-stopped', stop }));
  }

  /** Until the main thread asks it to close. */
  run(): void {
    const { wakeFd, serialFd } = this.#job;
    const set = new Int32Array(
      [this.#exits.fd, this.#exits.postedFd, wakeFd, serialFd].flatMap((fd) => [fd, POLLIN, 0]),
    );
    const [exit, posted, wake, serial] = [2, 5, 8, 11];
    for (;;) {
      set[serial - 1] = this.#serialEvents();
      native.poll(set, this.#line.open ? 4 : 3, LONGEST_WAIT_MS);
      if (set[exit] !== 0 || set[posted] !== 0) this.#dispatch.run();
      if (this.#line.open && set[serial] !== 0) this.#serial();
      if (set[wake] !== 0 && !this.#answerAll()) return;
    }
  }

  #serialEvents(): number {
    const wantsInput = this.#line.open && this.#devices.serialInputSpace() > 0;
    return (wantsInput ? POLLIN : 0) | (this.#line.blocked ? POLLOUT : 0);
  }

  #serial(): void {
    this.#line.flush();
    const input = this.#line.read(this.#devices.serialInputSpace());
    if (input !== undefined) this.#devices.serialInput(input);
  }

  /** False when the last request was to close. */
  #answerAll(): boolean {
    native.drainEventFd(this.#job.wakeFd);
    for (;;) {
      const next = receiveMessageOnPort(port) as { message: DeviceRequest } | undefined;
      if (next === undefined) return true;
      try {
        if (!this.#answer(next.message)) return false;
      } catch (error) {
        reply({ type: 'refused', message: describeError(error) });
      }
    }
  }

  #answer(request: DeviceRequest): boolean {
    switch (request.type) {
      case 'save':
        while (this.#dispatch.run()); // writes that the parked vCPUs have posted
        reply({ type: 'answer', state: this.#devices.save() });
        return true;
      case 'restore':
        this.#devices.restore(request.state);
        reply({ type: 'answer' });
        return true;
      case 'power-button':
        this.#devices.pressPowerButton();
        reply({ type: 'answer' });
        return true;
      case 'close':
        reply({ type: 'answer' });
        return false;
    }
  }
}

port.once('message', (job: DeviceJob) => {
  const worker = new DeviceWorker(job);
  reply({ type: 'answer' });
  worker.run();
  native.closeFd(job.serialFd);
});
reply({ type: 'answer' });
