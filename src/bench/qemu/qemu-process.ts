/** One QEMU, its QMP socket and its guest's serial port. */
import { spawn, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Qmp } from './qmp.js';

const START_LIMIT_MS = 20_000;
const POLL_MS = 20;
const STDERR_LIMIT = 10_000;

export class QemuProcess {
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #qmpPath: string;
  readonly #serialPath: string;
  readonly #name: string;
  #qmp: Qmp | undefined;
  #stderr = '';
  #over = false;

  constructor(binary: string, name: string, directory: string, words: string[], launcher: string[]) {
    this.#name = name;
    this.#qmpPath = join(directory, `${name}.qmp`);
    this.#serialPath = join(directory, `${name}.serial`);
    const sockets = [
      ...['-qmp', `unix:${this.#qmpPath},server=on,wait=off`],
      ...['-serial', `unix:${this.#serialPath},server=on,wait=off`],
    ];
    const [program, ...rest] = [...launcher, binary, ...words, ...sockets];
    this.#child = spawn(program!, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr!.on('data', (chunk: Buffer) => (this.#stderr = (this.#stderr + chunk).slice(-STDERR_LIMIT)));
    this.ended = new Promise((resolve) => {
      const end = () => {
        this.#over = true;
        for (const path of [this.#qmpPath, this.#serialPath]) rmSync(path, { force: true });
        resolve();
      };
      this.#child.once('close', end);
      this.#child.once('error', (error) => {
        this.#stderr += error.message;
        end();
      });
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Once connect() has resolved. */
  get qmp(): Qmp {
    return this.#qmp!;
  }

  /** Waits until QEMU takes commands; throws its own words if it does not start. */
  async connect(): Promise<void> {
    this.#qmp = new Qmp(await this.#open(this.#qmpPath));
    await this.#qmp.negotiate();
  }

  async serial(): Promise<Socket> {
    return this.#open(this.#serialPath);
  }

  async dispose(): Promise<void> {
    if (!this.#over) this.#child.kill('SIGKILL');
    await this.ended;
    this.#qmp?.close();
  }

  async #open(path: string): Promise<Socket> {
    const deadline = performance.now() + START_LIMIT_MS;
    for (;;) {
      if (this.#over) throw new Error(`QEMU (${this.#name}) ended: ${this.#stderr.trim()}`);
      const socket = await tryConnect(path);
      if (socket !== undefined) return socket;
      if (performance.now() > deadline)
        throw new Error(`QEMU (${this.#name}) does not open ${path}: ${this.#stderr.trim()}`);
      await delay(POLL_MS);
    }
  }
}

function tryConnect(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}
