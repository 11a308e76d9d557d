/**
 * QEMU's post-copy, with and without its preempt channel, set up as fast as it goes: no bandwidth limits, post-copy from
 * the first moment, anonymous RAM as everywhere, and no device that could slow the guest or its boot.
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
  type Site,
  type System,
} from '../system.js';
import { machineWords } from './cpu-model.js';
import { parseMigrationInfo } from './migration-info.js';
import { QemuProcess } from './qemu-process.js';

/** Bytes a second; 0 is not "unlimited" for this one. */
const NO_LIMIT = 1024 ** 5;
/** The source refuses to switch to post-copy until its migration thread has begun. */
const SWITCH_RETRY_MS = 1;
/** Seldom enough to cost QEMU's main loop nothing. */
const PROGRESS_INTERVAL_MS = 50;

const FAILED = new Set(['failed', 'cancelled', 'postcopy-paused']);

export interface QemuOptions {
  binary: string;
  cpuModel: string;
}

export function qemuSystem(preempt: boolean, options: QemuOptions): System {
  return {
    name: preempt ? 'qemu-preempt' : 'qemu',
    start: (shape, site) => booted(new QemuPair(preempt, options, shape, site)),
  };
}

class QemuPair implements Pair {
  readonly vcpuThread = /^CPU \d+\/KVM$/;
  readonly #preempt: boolean;
  readonly #site: Site;
  readonly #source: QemuProcess;
  readonly #destination: QemuProcess;
  #guest: GuestConsole | undefined;

  constructor(preempt: boolean, { binary, cpuModel }: QemuOptions, shape: GuestShape, site: Site) {
    this.#preempt = preempt;
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
    await this.#configure(this.#destination, ['events', 'postcopy-blocktime']);
    await this.#source.qmp.execute('migrate-set-parameters', {
      'max-bandwidth': NO_LIMIT,
      'max-postcopy-bandwidth': 0,
    });
    await this.#destination.qmp.execute('migrate-incoming', { uri: uri(this.#site.listen) });
  }

  async #configure(qemu: QemuProcess, more: string[]): Promise<void> {
    const names = ['postcopy-ram', ...(this.#preempt ? ['postcopy-preempt'] : []), ...more];
    const capabilities = names.map((capability) => ({ capability, state: true }));
    await qemu.qmp.execute('migrate-set-capabilities', { capabilities });
  }

  async migrate(onPagesLeft: (left: PagesLeft) => void): Promise<Migrated> {
    const { qmp } = this.#source;
    const atSource = completion(this.#source);
    const atDestination = completion(this.#destination);
    await qmp.execute('migrate', { uri: uri(this.#site.connect) });
    await this.#switchToPostcopy();
    const polling = setInterval(() => {
      const note = (info: unknown) =>
        onPagesLeft({ atMs: performance.now(), pages: Math.round(parseMigrationInfo(info).remaining / PAGE_SIZE) });
      qmp.execute('query-migrate').then(note, () => {}); // one that has ended is told of below
    }, PROGRESS_INTERVAL_MS);
    const completedAtMs = await atSource.finally(() => clearInterval(polling));
    await atDestination;
    return { completedAtMs, account: () => this.#account(), guest: () => openGuest(this.#destination) };
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
    const destination = await this.#destination.qmp.execute('query-migrate');
    const info = parseMigrationInfo(source);
    return { ...info, raw: { source, destination } };
  }

  async dispose(): Promise<void> {
    this.#guest?.close();
    await Promise.all([this.#source.dispose(), this.#destination.dispose()]);
  }
}

/** performance.now() of the moment at which this end says that the migration is complete. */
function completion(qemu: QemuProcess): Promise<number> {
  const end = new Promise<number>((resolve, reject) => {
    qemu.qmp.onEvent(({ event, data }) => {
      if (event !== 'MIGRATION') return;
      const status = String(data['status']);
      if (status === 'completed') resolve(performance.now());
      if (FAILED.has(status)) reject(new Error(`QEMU's migration ended as ${status}`));
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
