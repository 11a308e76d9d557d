/** postcopy as its users run it: one `run` and one `receive` process. */
import type { MachineName } from '../configure/machine-setting.js';
import { newMigrationKey, type GivenSecurity } from '../configure/security.js';
import { guestBinary } from '../trial/guest-binary.js';
import type { GuestConsole } from '../trial/guest-console.js';
import { SpawnedVm } from '../trial/spawned-vm.js';
import { MIB } from '../memory/page-size.js';
import type { GivenMigrateOptions } from '../migrate/options.js';
import { booted, type GuestShape, type Migrated, type PagesLeft, type Pair, type Site, type System } from './system.js';

const VM_NAME = 'bench';

export function postcopySystem(machine: MachineName, link: 'plain' | 'tls'): System {
  const name = link === 'tls' ? 'postcopy-tls' : 'postcopy';
  const security: GivenSecurity = link === 'tls' ? { key: newMigrationKey() } : { plain: true };
  return { name, start: (shape, site) => booted(new PostcopyPair(machine, security, shape, site)) };
}

class PostcopyPair implements Pair {
  readonly vcpuThread = /^vcpu/;
  readonly #site: Site;
  readonly #options: GivenMigrateOptions & GivenSecurity;
  readonly #source: SpawnedVm;
  readonly #destination: SpawnedVm;
  #guest: GuestConsole | undefined;

  constructor(kind: MachineName, security: GivenSecurity, shape: GuestShape, site: Site) {
    const { host, port } = site.listen;
    const secured = security.key === undefined ? ['--plain'] : ['--key', security.key];
    const listen = ['--machine', kind, '--listen', `${host}:${port}`, ...secured, '--serial', 'null'];
    const boot = ['--kernel', guestBinary(), '--memory', `${Math.round(shape.memoryBytes / MIB)}M`];
    const machine = ['--machine', kind, '--cpus', String(shape.cpus), '--serial', 'null', '--no-reboot'];
    // A machine of threads tells its guest itself: it has the host's own.
    const options = kind === 'kvm' ? ['--cmdline', `tsc_khz=${site.tscKhz}`] : [];
    this.#site = site;
    this.#options = { ...security, ...shape.migrate };
    this.#destination = new SpawnedVm('receive', VM_NAME, listen, site.destinationLauncher);
    this.#source = new SpawnedVm('run', VM_NAME, [...boot, ...machine, ...options], site.sourceLauncher);
  }

  async boot(): Promise<void> {
    await this.#destination.reach('waiting');
    await this.#source.reach('running');
    this.#guest = await this.#source.guest();
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

  async migrate(onPagesLeft: (left: PagesLeft) => void): Promise<Migrated> {
    const summary = await this.#source.client.migrate({ ...this.#site.connect, ...this.#options }, (progress) =>
      onPagesLeft({ atMs: performance.now(), pages: progress.pagesLeft }),
    );
    const completedAtMs = performance.now();
    const stayed = this.#mayStay(summary.error?.code);
    if (summary.status !== 'completed' && !stayed)
      throw new Error(`postcopy: ${summary.error?.message ?? summary.status}`);
    const account = {
      totalMs: summary.totalMs,
      downtimeMs: summary.downtimeMs,
      wireBytes: summary.wireBytes,
      faults: summary.faultWaitUs.count,
      dataPages: summary.pages.sent,
      rounds: summary.rounds?.count,
      raw: summary,
    };
    const guest = async () => (stayed ? this.guest : this.#destination.guest());
    return { completedAtMs, stayed, account: async () => account, guest };
  }

  /** A guest that is too fast for its link stays, if that was asked for. */
  #mayStay(code: string | undefined): boolean {
    return code === 'MIGRATION_FAILED' && this.#options.onTimeout === 'cancel';
  }

  async dispose(): Promise<void> {
    this.#guest?.close();
    await Promise.all([this.#source.dispose(), this.#destination.dispose()]);
  }
}
