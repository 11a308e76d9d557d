/**
 * The device worker: all device models of one VM, on a thread of their own. Once it has its job it waits in poll(2) for
 * vCPU exits, for what its devices wait for and for requests of the main thread, and does not return to its event loop
 * before it ends.
 */
import { getPriority } from 'node:os';
import { receiveMessageOnPort } from 'node:worker_threads';
import { Deadline } from '../basics/deadline.js';
import { DeviceSet } from '../devices/device-set.js';
import type { PollSource } from '../devices/poll-source.js';
import type { DiskFailure } from '../devices/virtio/block/host-errors.js';
import { describeError, PostcopyError } from '../errors.js';
import { native, POLLIN, POLLOUT, type ExitQueue } from '../native.js';
import { BearableErrors } from './bearable-errors.js';
import type { DeviceJob, DeviceNews, DeviceRequest } from './device-messages.js';
import { ExitDispatch } from './exit-dispatch.js';
import type { Tell } from '../threads/messages.js';
import { PollLoop } from '../threads/poll-loop.js';
import { LONGEST_WAIT_MS, serveJob, workerPort } from '../threads/serve-job.js';
import { SerialLine } from '../console/serial-line.js';
import { VirtioSlots } from './virtio-slots.js';

// For who looks at what a VM's threads do; its priority stays.
native.setThread('devices', getPriority());

class DeviceWorker {
  readonly #job: DeviceJob;
  readonly #exits: ExitQueue;
  readonly #line: SerialLine;
  readonly #virtio: VirtioSlots;
  readonly #devices: DeviceSet;
  readonly #dispatch: ExitDispatch;
  readonly #sources: PollSource[];
  readonly #tell: Tell<DeviceNews>;
  readonly #errors: BearableErrors;
  #closing = false;
  /** The guest's state is saved or being loaded: what comes for it waits, and its timers do. */
  #held = false;
  /** The guest has powered itself off, reset itself or failed. */
  #guestIsOver = false;

  constructor(job: DeviceJob, tell: Tell<DeviceNews>) {
    const report = (text: string): void => tell({ type: 'notice', text });
    this.#tell = tell;
    this.#errors = new BearableErrors(report);
    const vm = new native.Vm(null, job.vmHandle);
    const memory = new native.GuestMemory(null, job.memoryHandle);
    this.#job = job;
    this.#exits = new native.ExitQueue(null, job.exitQueueHandle);
    this.#line = new SerialLine(job.serialFd);
    const diskStopped = (failure: DiskFailure): void => tell({ type: 'disk-stopped', failure });
    this.#virtio = new VirtioSlots(job.virtio, { vm, memory, releaseFlag: job.releaseFlag, report, diskStopped });
    this.#devices = new DeviceSet(
      {
        setIrq: (gsi, level) => vm.setIrq(gsi, level),
        serialOutput: (bytes) => {
          if (!this.#guestIsOver) this.#line.gather(bytes);
        },
        showSerial: (s) =>
          vm.showSerial(s.writes, s.events, s.lineStatus, s.modemStatus, s.identification, s.interruptEnable),
        hideSerial: () => vm.hideSerial(),
        catchUp: () => this.#dispatch.drain(),
        panicked: (at) => tell({ type: 'panicked', at }),
        powerOff: () => this.#over({ type: 'power-off' }),
        reset: (source) => this.#over({ type: 'reset', source }),
        nowMicros: () => native.monotonicMicros(),
        wallClockMs: () => Date.now(),
      },
      this.#virtio.transports,
    );
    this.#dispatch = new ExitDispatch(
      this.#exits,
      this.#devices,
      (stop) => this.#over({ type: 'vcpu-stopped', stop }),
      this.#errors,
    );
    // Requests first: a vCPU that runs reads clocks that have been started.
    this.#sources = [this.#requestSource(), ...this.#exitSources(), this.#serialSource()];
  }

  /** Nothing interrupts a guest whose state is being loaded: what it would find out by that would be lost. */
  #hold(): void {
    this.#held = true;
    this.#virtio.hold();
  }

  #resume(): void {
    this.#held = false;
    this.#virtio.resume();
  }

  /** Until the main thread asks it to close. */
  run(): void {
    const loop = new PollLoop();
    while (!this.#closing) {
      try {
        this.#turn(loop);
        this.#errors.wentWell();
      } catch (error) {
        this.#errors.bear('what it waits for', error);
      }
    }
    this.#line.flush();
    this.#virtio.close();
  }

  /** vCPUs go on until the main thread has stopped them: nothing of what they do meanwhile gets out. */
  #over(news: DeviceNews): void {
    this.#guestIsOver = true;
    this.#virtio.hold();
    this.#tell(news);
  }

  #turn(loop: PollLoop): void {
    const timer = this.#held ? Infinity : this.#devices.msToTimer();
    loop.turn(this.#allSources(), Math.min(LONGEST_WAIT_MS, timer, this.#line.msToFlush()));
    if (!this.#held) this.#devices.runTimers();
    this.#line.flushIfDue();
  }

  *#allSources(): Generator<PollSource> {
    yield* this.#sources;
    yield* this.#virtio.sources();
  }

  #exitSources(): PollSource[] {
    const run = (): void => void this.#dispatch.run();
    return [this.#exits.fd, this.#exits.postedFd].map((fd) => ({ fd, events: POLLIN, run }));
  }

  #serialSource(): PollSource {
    const line = this.#line;
    const devices = this.#devices;
    const space = (): number => (this.#held ? 0 : devices.serialInputSpace());
    return {
      fd: this.#job.serialFd,
      get events() {
        const wantsInput = line.open && space() > 0;
        return (wantsInput ? POLLIN : 0) | (line.open && line.blocked ? POLLOUT : 0);
      },
      run() {
        line.flush();
        const input = line.read(space());
        if (input !== undefined) devices.serialInput(input);
      },
    };
  }

  #requestSource(): PollSource {
    return { fd: this.#job.wakeFd, events: POLLIN, run: () => this.#answerAll() };
  }

  #answerAll(): void {
    native.drainEventFd(this.#job.wakeFd);
    while (!this.#closing) {
      const next = receiveMessageOnPort(workerPort()) as { message: DeviceRequest } | undefined;
      if (next === undefined) return;
      try {
        this.#tell({ type: 'answer', state: this.#answer(next.message) });
      } catch (error) {
        const code = error instanceof PostcopyError ? error.code : 'INTERNAL';
        this.#tell({ type: 'refused', code, message: describeError(error) });
      }
    }
  }

  #answer(request: DeviceRequest): unknown {
    switch (request.type) {
      case 'save':
        this.#dispatch.drain();
        this.#line.flush();
        return this.#devices.save(request.atMicros);
      case 'restore':
        this.#hold();
        return this.#devices.restore(request.state);
      case 'start-clocks':
        return this.#devices.startClocks(request);
      case 'pause':
        this.#dispatch.drain();
        this.#held = true;
        return this.#virtio.pause(new Deadline(request.untilMicros));
      case 'resume':
        return this.#guestIsOver ? undefined : this.#resume();
      case 'retry':
        return this.#virtio.retry();
      case 'announce':
        return this.#virtio.announce();
      case 'power-button':
        return this.#devices.pressPowerButton();
      case 'close':
        this.#closing = true;
        return undefined;
    }
  }
}

serveJob<DeviceJob, DeviceNews>((job, tell) => {
  const worker = new DeviceWorker(job, tell);
  tell({ type: 'answer' });
  worker.run();
  native.closeFd(job.serialFd);
});
