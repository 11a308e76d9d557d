import type { Duplex } from 'node:stream';
import type { CpuName } from '../configure/cpu-setting.js';
import type { MachineName } from '../configure/machine-setting.js';
import type { ProcessRights } from '../confine/process-rights.js';
import type { GivenSecurity } from '../configure/security.js';
import type { ErrorCode, Fact } from '../errors.js';
import type { DeviceStatus } from '../host/kinds/table.js';
import type { ConsolePort } from '../console/console-port.js';
import type { MigrationSummary } from '../migrate/report/summary.js';
import type { MigrationProgress, VmState } from '../watch/events.js';
import type { Events } from '../watch/stream.js';
import type { GivenMigrateOptions, Limit } from '../migrate/options.js';

export type { VmState } from '../watch/events.js';

export interface VmStatus extends Partial<DeviceStatus> {
  name: string;
  pid: number;
  version: string;
  machine: MachineName;
  state: VmState;
  /** Clear text of the last failure, if any. */
  problem?: string;
  /** What `problem` is about. */
  facts?: readonly Fact[];
  /** While `ending`: what happened, and what is awaited, in clear text. */
  awaits?: string;
  /** When the guest's kernel said that it has panicked: milliseconds since 1970. */
  panickedAt?: number;
  /** Pages of its RAM that are lost to memory errors, here or before it came; if any. */
  lostPages?: number;
  memoryBytes: number;
  /** What the guest is shown of the CPU; not known until a VM has come. */
  cpu?: CpuName;
  cpus: number;
  uptimeMs: number;
  /** Where `receive` listens, or where the VM came from / went to. */
  listen?: string;
  peer?: string;
  migration?: MigrationProgress;
  /** While the VM is here, and pages of it are still at the other host: if that ends now, the VM is lost. */
  arrival?: ArrivalProgress;
  /** What the process may still do on this host. */
  rights?: ProcessRights;
  /** While the link of a migration is broken behind the hand-over, at either end. */
  interruption?: LinkInterruption;
}

export interface ArrivalProgress {
  pagesMissing: number;
  bytesMissing: number;
  /** Over the last seconds. */
  bytesPerSecond: number;
  /** Milliseconds that the rest takes at that rate; not while nothing comes. */
  leftMs?: number | undefined;
  /** Of vCPUs and devices, on pages that have not come. */
  faultsWaiting: number;
}

/** Nothing is lost, and the ends look for each other. Times: milliseconds since 1970, clock of this host. */
export interface LinkInterruption {
  since: number;
  reason: string;
  /** Pages that the destination does not have. */
  pagesMissing: number;
  /** Of vCPUs and devices at the destination, as far as this end knows. */
  faultsWaiting: number;
  /** At the source, which connects: how often it has tried, why the last try failed, and when it tries again. */
  attempts?: number | undefined;
  lastError?: string | undefined;
  nextTryAt?: number | undefined;
}

export interface MigrateRequest extends GivenMigrateOptions, GivenSecurity {
  host: string;
  port: number;
  /** A file that takes what the destination asks for, and when (migrate/prefetch/trace.ts). */
  trace?: string | undefined;
}

export interface ResumeRequest {
  /**
   * Also a VM whose last migration ended in doubt. The caller answers for it that the destination has not run the guest,
   * and never will.
   */
  force?: boolean;
}

export interface MeasureRequest {
  /** For so long; 2 by default. */
  seconds?: number;
}

export const MEASURE_SECONDS = 2;

/** How many pages a guest writes, and has. */
export interface WriteMeasure {
  /** Of its RAM, and those that hold data. */
  pages: number;
  dataPages: number;
  cpus: number;
  /** Of the state of a vCPU. */
  xsaveBytes: number;
  /** How many different pages were written within so many milliseconds; in no order. */
  written: { ms: number; pages: number }[];
}

/** How fast a migration may send from now on. */
export type LimitRequest = Limit;

/** Where the destination is by now, if it is not where it was. */
export interface RecoverRequest {
  host?: string;
  port?: number;
}

export interface StopRequest {
  /** A power cut, at once, whatever the guest is doing. */
  force?: boolean;
  /** How long the guest may take to shut down; 60 s by default. */
  timeoutMs?: number;
}

export const STOP_TIMEOUT_MS = 60_000;

/** What one VM process offers to its control socket. Errors are PostcopyError. */
export interface VmService {
  /** What happens to the VM from now on; status() says how it is. */
  readonly events: Events;
  status(): VmStatus;
  pause(): Promise<void>;
  /** Lets a paused VM go on. */
  resume(request?: ResumeRequest): Promise<void>;
  /**
   * Presses the guest's power button and waits until the VM has ended; NO_REACTION when it has not in time. With
   * `force` it ends at once. The process ends after the answer is out.
   */
  stop(request?: StopRequest): Promise<void>;
  /** Resolves also when the migration fails; rejects only when it could not be tried (wrong state). */
  migrate(request: MigrateRequest, onProgress: (progress: MigrationProgress) => void): Promise<MigrationSummary>;
  /**
   * Ends a migration that has not handed the VM over: resolves when it has ended and the VM has stayed here, and throws WRONG_STATE if
   * there is none, or it is too late.
   */
  cancelMigration(): Promise<void>;
  /**
   * Changes how fast a migration may send, also before the hand-over and while its link is broken; pages that the guest
   * waits for are not held back. Throws WRONG_STATE if there is none.
   */
  limit(request: LimitRequest): Promise<void>;
  /**
   * How many pages the guest writes within times of several lengths: what a forecast of its migration is made from. Each page
   * that it writes meanwhile costs it a fault once. Throws WRONG_STATE if the VM neither runs nor is paused, is arriving,
   * leaves meanwhile, or is being measured; HOST_LACKS if this host cannot tell.
   */
  measure(request?: MeasureRequest): Promise<WriteMeasure>;
  /**
   * At the source of a migration whose link is broken: looks for the destination at once, at another address if one is
   * given. Throws WRONG_STATE if there is none.
   */
  recover(address?: { host: string; port: number }): Promise<void>;
  /** Joins a stream to a console of the guest, both directions; several at a time; detached when it closes. */
  attachConsole(stream: Duplex, port: ConsolePort): void;
}

/** How a VM process ended; `run` and `receive` print the message and exit with the code's number, 0 without one. */
export interface VmEnd {
  reason: 'power-off' | 'reset' | 'stopped' | 'migrated' | 'failed';
  message: string;
  code?: ErrorCode;
  facts?: readonly Fact[];
  /** A thread still waits for a page that does not come: only the end of the process ends it. */
  stuck?: boolean;
}
