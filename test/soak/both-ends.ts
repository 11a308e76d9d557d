/**
 * Both processes of one run of the soak: how they are started, watched and ended, and what is left of them that must not be.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describeError } from '../../src/errors.js';
import { guestBinary } from '../../src/trial/guest-binary.js';
import { SpawnedVm, type SpawnedEnd } from '../../src/trial/spawned-vm.js';
import { ROOM_MARK, survivors } from '../support/clean-room.js';
import type { End } from '../support/relay.js';
import type { FaultyNetwork } from './network.js';
import type { Plan } from './plan.js';
import { VcpuWatch } from './vcpu-watch.js';

/** For each step, on a host on which everything takes long; a run that needs it all hangs. */
export const LIMIT_MS = 300_000;
const DISK_BYTES = 1 << 20;
const DISK = 'root.img';

export class BothEnds {
  readonly #plan: Plan;
  readonly #room: string;
  readonly #vms: Record<End, SpawnedVm>;
  readonly watch: VcpuWatch;

  /** `room`: an empty directory, or the place for one. */
  constructor(plan: Plan, room: string) {
    this.#plan = plan;
    this.#room = room;
    mkdirSync(room, { recursive: true });
    const mark = ['env', `TMPDIR=${room}`, `${ROOM_MARK}=${room}`];
    const common = ['--machine', 'threads', '--serial', 'null', ...this.#diskWords()];
    const guest = ['--kernel', guestBinary(), '--memory', '64M', '--cpus', String(plan.cpus), '--no-reboot'];
    this.#vms = {
      source: new SpawnedVm('run', 'vm', [...common, ...guest], mark, LIMIT_MS),
      destination: new SpawnedVm('receive', 'vm', [...common, '--listen', '127.0.0.1:0'], mark, LIMIT_MS),
    };
    this.watch = new VcpuWatch({ source: this.source.pid, destination: this.destination.pid });
  }

  get source(): SpawnedVm {
    return this.#vms.source;
  }

  get destination(): SpawnedVm {
    return this.#vms.destination;
  }

  signal(end: End, signal: NodeJS.Signals): void {
    this.#vms[end].kill(signal);
  }

  async kill(end: End): Promise<void> {
    this.#vms[end].kill('SIGKILL');
    await this.#vms[end].ended;
  }

  /** By force, with one of these exit codes. */
  async stop(end: End, codes: number[]): Promise<SpawnedEnd> {
    await this.#vms[end].client.stop({ force: true }).catch(() => {}); // it may have ended already
    const ended = await this.end(end);
    requireEnd(end, ended, codes);
    return ended;
  }

  end(end: End): Promise<SpawnedEnd> {
    return Promise.race([this.#vms[end].ended, this.hangs(`the end of the ${end}`)]);
  }

  async hangs(what: string): Promise<never> {
    const { faults } = this.#plan;
    const quietMs = faults.reduce((sum, fault) => sum + ('ms' in fault ? fault.ms : 0), 0);
    await delay(LIMIT_MS + quietMs, undefined, { ref: false });
    throw new Error(`${what} has not come after ${(LIMIT_MS + quietMs) / 1000} s: ${await this.#states()}`);
  }

  async #states(): Promise<string> {
    const told = (['source', 'destination'] as const).map(async (end) => {
      const status = await this.#vms[end].client.status().catch((error: unknown) => describeError(error));
      return `${end}: ${JSON.stringify(status)}`;
    });
    return (await Promise.all(told)).join(', ');
  }

  /** What is left that must not be. */
  async cleanUp(network: FaultyNetwork | undefined): Promise<string | undefined> {
    this.watch.close();
    await network?.close();
    await Promise.all([this.source.dispose(), this.destination.dispose()]);
    const processes = (await survivors(this.#room)).map(({ command }) => `process ${command}`);
    const files = readdirSync(this.#room, { recursive: true }).map((file) => `file ${String(file)}`);
    const runtime = (await Promise.all(Object.values(this.#vms).map((vm) => vm.ended)))
      .filter(({ signal }) => signal === null)
      .flatMap(({ left }) => left.map((file) => `runtime file ${file}`));
    rmSync(this.#room, { recursive: true, force: true });
    const left = [...processes, ...files.filter((file) => !file.endsWith(DISK)), ...runtime];
    return left.length === 0 ? undefined : `left behind: ${left.join(', ')}`;
  }

  async logs(network: FaultyNetwork | undefined): Promise<string[]> {
    const logs: string[] = ['--- network', ...(network?.log ?? [])];
    for (const end of ['source', 'destination'] as const) {
      const { code, signal, stderr } = await this.#vms[end].ended;
      logs.push(`--- ${end}, ended with ${signal ?? code}`, stderr.trimEnd());
    }
    return logs;
  }

  #diskWords(): string[] {
    if (!this.#plan.disk) return [];
    const path = join(this.#room, DISK);
    writeFileSync(path, new Uint8Array(DISK_BYTES));
    return ['--disk', `path=${path},id=root`];
  }
}

export function requireEnd(what: End, { code, signal, stderr }: SpawnedEnd, codes: number[]): void {
  if (signal !== null || !codes.includes(code!)) {
    throw new Error(`the ${what} ended with ${signal ?? code} instead of ${codes.join(' or ')}: ${stderr.trim()}`);
  }
}
