/** VM processes as a user starts them, for the demo, benchmarks and tests: each a `postcopy run` or `receive`. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { VmClient } from '../control/client.js';
import type { VmState, VmStatus } from '../vm/service.js';
import { PostcopyError } from '../errors.js';
import { packageRoot } from '../native.js';
import { GuestConsole } from './guest-console.js';

const PATIENCE_MS = 60_000;
const POLL_MS = 20;

export interface SpawnedEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
  /** Files that it has left in its runtime directory. */
  left: string[];
}

/** A process with a runtime directory of its own, as if it were on another host. */
export class SpawnedVm {
  readonly client: VmClient;
  readonly ended: Promise<SpawnedEnd>;
  readonly #directory = mkdtempSync(join(tmpdir(), 'postcopy-'));
  readonly #child: ChildProcess;
  #stderr = '';
  #over = false;

  /**
   * `words`: the command line without --name; `launcher`: what the process is started through, like `ip netns exec`;
   * `patienceMs`: how long reach() waits, and its guest is waited for.
   */
  constructor(
    command: 'run' | 'receive',
    readonly name: string,
    words: string[],
    launcher: string[] = [],
    readonly patienceMs = PATIENCE_MS,
  ) {
    const main = join(packageRoot, 'dist/cli/main.js');
    const [program, ...rest] = [...launcher, process.execPath, main, command, '--name', name, ...words];
    this.#child = spawn(program!, rest, {
      env: { ...process.env, POSTCOPY_RUNTIME_DIR: this.#directory },
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    this.#child.stderr!.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString()));
    this.client = new VmClient(name, join(this.#directory, `${name}.sock`));
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#over = true;
        const left = readdirSync(this.#directory);
        rmSync(this.#directory, { recursive: true, force: true });
        resolve({ code, signal, stderr: this.#stderr, left });
      });
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get runtimeDirectory(): string {
    return this.#directory;
  }

  /** Waits for the state; throws if the process ends before. */
  async reach(...states: VmState[]): Promise<VmStatus> {
    const deadline = performance.now() + this.patienceMs;
    for (;;) {
      if (this.#over) throw new PostcopyError('INTERNAL', `${this.name} ended: ${this.#stderr.trim()}`);
      const status = await this.client.status().catch(() => undefined);
      if (status !== undefined && states.includes(status.state)) return status;
      if (performance.now() > deadline) throw this.#tooSlow(states[0]!, status);
      await delay(POLL_MS);
    }
  }

  #tooSlow(wanted: VmState, status: VmStatus | undefined): PostcopyError {
    const is = status === undefined ? 'does not answer' : `is ${status.state}, not ${wanted}`;
    const text = `the process of ${this.name} (${this.pid}) ${is} after ${this.patienceMs / 1000} s: see what else this host is busy with`;
    return new PostcopyError('HOST_LACKS', text);
  }

  /** The console of postcopy's own guest, ready for commands. */
  async guest(): Promise<GuestConsole> {
    const guest = new GuestConsole(await this.client.console(), this.patienceMs);
    await guest.synchronize();
    return guest;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends the process whatever it does, and leaves nothing behind. */
  async dispose(): Promise<void> {
    if (!this.#over) this.#child.kill('SIGKILL');
    await this.ended;
    await this.client.close();
  }
}
