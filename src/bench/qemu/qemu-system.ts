/**
 * QEMU's migration, set up as fast as it goes: no bandwidth limits, anonymous RAM as everywhere, and no device that could slow
 * the guest or its boot. migration-plan.ts says what it is told.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { guestBinary } from '../../trial/guest-binary.js';
import { GuestConsole } from '../../trial/guest-console.js';
import { MIB, PAGE_SIZE } from '../../memory/page-size.js';
import {
  booted,
  type GuestShape,
  type Migrated,
  type OwnAccount,
  type PagesLeft,
  type Pair,
  type QemuName,
  type Site,
  type System,
} from '../system.js';
import { machineWords } from './cpu-model.js';
import { parseMigrationInfo } from './migration-info.js';
import { migrationPlan, type MigrationPlan } from './migration-plan.js';
import { QemuProcess } from './qemu-process.js';

/** The source refuses to switch to post-copy until its migration thread has begun. */
const SWITCH_RETRY_MS = 1;
/** Seldom enough to cost QEMU's main loop nothing. */
const PROGRESS_INTERVAL_MS = 50;

/** Of MIGRATION_PASS, which counts from 1. */
const SECOND_PASS = 2;

const FAILED = new Set(['failed', 'cancelled', 'postcopy-paused']);

export interface QemuOptions {
  binary: string;
  cpuModel: string;
}

export function qemuSystem(name: QemuName, options: QemuOptions): System {
  return {
    name,
    start: (shape, site) => booted(new QemuPair(migrationPlan(name, shape.migrate), options, shape, site)),
  };
}

class QemuPair implements Pair {
  readonly vcpuThread = /^CPU \d+\/KVM$/;
  readonly #plan: MigrationPlan;
  readonly #site: Site;
  readonly #source: QemuProcess;
  readonly #destination: QemuProcess;
  #guest: GuestConsole | undefined;

  constructor(plan: MigrationPlan, { binary, cpuModel }: QemuOptions, shape: GuestShape, site: Site) {
    this.#plan = plan;
    this.#site = site;
    const words = [
      ...machineWords(cpuModel),
      ...['-m', `${Math.round(shape.memoryBytes / MIB)}M`, '-smp', String(shape.cpus)],
      ...['-kernel', guestBinary(), '-append', `tsc_khz=${site.tscKhz} cpus=${shape.cpus}`],
    ];
    const incoming = [...words, '-incoming', 'defer'];
    this.#destination = new QemuProcess(binary, 'destination', site.directory, incoming, site.destinationLauncher);
    this.#source = new QemuProcess(binary, 'source', site.directory, words, site.sourceLauncher);
  }

  get sourcePid(): number {
    return this.#source.pid;
  }

  get destinationPid(): number {
    return this.#destination.pid;
  }

  get guest(): GuestConsole {
    return this.#guest!;
  }

  async boot(): Promise<void> {
    await Promise.all([this.#source.connect(), this.#destination.connect()]);
    this.#guest = await openGuest(this.#source);
    await this.#configure(this.#source, ['events']);
    const isPostcopy = this.#plan.capabilities.includes('postcopy-ram');
    await this.#configure(this.#destination, ['events', ...(isPostcopy ? ['postcopy-blocktime'] : [])]);
    await this.#destination.qmp.execute('migrate-incoming', { uri: uri(this.#site.listen) });
  }

  async #configure(qemu: QemuProcess, more: string[]): Promise<void> {
    const names = [...this.#plan.capabilities, ...more];
    const capabilities = names.map((capability) => ({ capability, state: true }));
    await qemu.qmp.execute('migrate-set-capabilities', { capabilities });
    await qemu.qmp.execute('migrate-set-parameters', this.#plan.parameters);
  }

  async migrate(onPagesLeft: (left: PagesLeft) => void): Promise<Migrated> {
    const { qmp } = this.#source;
    const { postcopy, late } = this.#plan;
    const atSource = completion(this.#source, late?.command === 'migrate_cancel');
    const atDestination = completion(this.#destination);
    // One that has ended meanwhile refuses it, and is told of below.
    const tell = (command: string) => void qmp.execute(command).catch(() => {});
    if (postcopy === 'first pass') this.#behindFirstPass(() => tell('migrate-start-postcopy'));
    await qmp.execute('migrate', { uri: uri(this.#site.connect) });
    if (postcopy === 'at once') await this.#switchToPostcopy();
    const timer = late === undefined ? undefined : setTimeout(() => tell(late.command), late.afterMs);
    const polling = setInterval(() => {
      const note = (info: unknown) =>
        onPagesLeft({ atMs: performance.now(), pages: Math.round(parseMigrationInfo(info).remaining / PAGE_SIZE) });
      qmp.execute('query-migrate').then(note, () => {}); // one that has ended is told of below
    }, PROGRESS_INTERVAL_MS);
    const { atMs: completedAtMs, cancelled: stayed } = await atSource.finally(() => {
      clearInterval(polling);
      clearTimeout(timer);
    });
    if (stayed) return { completedAtMs, stayed, account: () => this.#account(), guest: async () => this.guest };
    await atDestination;
    return { completedAtMs, account: () => this.#account(), guest: () => openGuest(this.#destination) };
  }

  /** As libvirt does it: the pass that begins second has the pages that were written during the first. */
  #behindFirstPass(act: () => void): void {
    this.#source.qmp.onEvent(({ event, data }) => {
      if (event === 'MIGRATION_PASS' && data['pass'] === SECOND_PASS) act();
    });
  }

  async #switchToPostcopy(): Promise<void> {
    for (;;) {
      try {
        await this.#source.qmp.execute('migrate-start-postcopy');
        return;
      } catch (error) {
        if (!String(error).includes('must be started after migration')) throw error;
        await delay(SWITCH_RETRY_MS);
      }
    }
  }

  async #account(): Promise<OwnAccount> {
    const source = await this.#source.qmp.execute('query-migrate');
    // That of a guest that stayed has ended.
    const destination = await this.#destination.qmp.execute('query-migrate').catch(() => undefined);
    const info = parseMigrationInfo(source);
    const rounds = this.#plan.postcopy === 'at once' ? undefined : info.syncs - 1;
    return { ...info, rounds, raw: { source, destination } };
  }

  async dispose(): Promise<void> {
    this.#guest?.close();
    await Promise.all([this.#source.dispose(), this.#destination.dispose()]);
  }
}

interface Completion {
  /** performance.now() */
  atMs: number;
  cancelled: boolean;
}

/** The moment at which this end says that the migration is complete, or cancelled if it may be. */
function completion(qemu: QemuProcess, mayBeCancelled = false): Promise<Completion> {
  const end = new Promise<Completion>((resolve, reject) => {
    qemu.qmp.onEvent(({ event, data }) => {
      if (event !== 'MIGRATION') return;
      const status = String(data['status']);
      const cancelled = mayBeCancelled && status === 'cancelled';
      if (status === 'completed' || cancelled) resolve({ atMs: performance.now(), cancelled });
      else if (FAILED.has(status)) reject(new Error(`QEMU's migration ended as ${status}`));
    });
    void qemu.ended.then(() => reject(new Error('QEMU ended during the migration')));
  });
  end.catch(() => {}); // told to who waits for it, perhaps later
  return end;
}

function uri({ host, port }: { host: string; port: number }): string {
  return `tcp:${host}:${port}`;
}

async function openGuest(qemu: QemuProcess): Promise<GuestConsole> {
  const guest = new GuestConsole(await qemu.serial());
  await guest.synchronize();
  return guest;
}
