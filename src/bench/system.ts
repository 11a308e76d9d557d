/** What the benchmark asks of a system that moves VMs, so that all are driven and measured the same way. */
import type { GivenMigrateOptions } from '../migrate/options.js';
import type { GuestConsole } from '../trial/guest-console.js';

/**
 * postcopy-tls: postcopy with a key, so that everything goes through TLS; the others send in plain. qemu-multifd: QEMU with
 * several channels, which has no post-copy in the releases that most have.
 */
export const QEMUS = ['qemu-preempt', 'qemu', 'qemu-multifd'] as const;
export const SYSTEMS = ['postcopy', 'postcopy-tls', ...QEMUS] as const;
export type SystemName = (typeof SYSTEMS)[number];
export type QemuName = (typeof QEMUS)[number];
/** Those with post-copy. */
export const POSTCOPY_SYSTEMS = SYSTEMS.filter((name) => name !== 'qemu-multifd');
/** Those that need nothing but this package. */
export const OWN_SYSTEMS: readonly SystemName[] = ['postcopy', 'postcopy-tls'];

export interface GuestShape {
  memoryBytes: number;
  cpus: number;
  /** Without it, the defaults. */
  migrate?: GivenMigrateOptions;
}

/** Where the two ends of one migration run. */
export interface Site {
  /** What a process of that end is started through: joins the memory cgroup and the network namespace. */
  sourceLauncher: string[];
  destinationLauncher: string[];
  /** Where the destination listens, and where the source connects to: not the same where a relay is between them. */
  listen: Endpoint;
  connect: Endpoint;
  /** Where control sockets go. */
  directory: string;
  /** The guest's TSC, which not every VMM tells it. */
  tscKhz: number;
}

export interface Endpoint {
  host: string;
  port: number;
}

/** What a system says of its own migration. */
export interface OwnAccount {
  totalMs: number;
  downtimeMs: number;
  wireBytes: number;
  /** Pages that the destination asked for. */
  faults: number;
  /** Pages with data that were sent. */
  dataPages: number;
  /** Passes over memory before the hand-over, if there were any. */
  rounds?: number | undefined;
  /** Everything it says, as it says it. */
  raw: unknown;
}

export interface PagesLeft {
  /** performance.now() */
  atMs: number;
  pages: number;
}

/** A guest at the source, and a destination that waits for it. */
export interface Pair {
  readonly sourcePid: number;
  readonly destinationPid: number;
  /** The names of vCPU threads. */
  readonly vcpuThread: RegExp;
  readonly guest: GuestConsole;
  /** Resolves when the system says that the migration is complete, and to when it said so: nothing may be between. */
  migrate(onPagesLeft: (left: PagesLeft) => void): Promise<Migrated>;
  /** Ends both processes and leaves nothing. */
  dispose(): Promise<void>;
}

export interface Migrated {
  /** performance.now() */
  completedAtMs: number;
  /** The guest is still at the source, and runs there: that was asked for if it is too fast for its link. */
  stayed?: boolean;
  /** This is asked for afterwards, so that the question costs the migration nothing. */
  account(): Promise<OwnAccount>;
  /** The guest's console where it is now. */
  guest(): Promise<GuestConsole>;
}

export interface System {
  readonly name: SystemName;
  start(shape: GuestShape, site: Site): Promise<Pair>;
}

/** A pair that is ready; one that does not get there leaves nothing behind. */
export async function booted<P extends Pair & { boot(): Promise<void> }>(pair: P): Promise<P> {
  try {
    await pair.boot();
    return pair;
  } catch (error) {
    await pair.dispose();
    throw error;
  }
}
