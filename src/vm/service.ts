import type { Duplex } from 'node:stream';
import type { MachineName } from '../configure/machine-setting.js';
import type { ErrorCode } from '../errors.js';
import type { DowntimeParts } from '../migrate/report/downtime.js';

/** Life of a VM process, as `postcopy status` shows it. */
export type VmState =
  | 'waiting' // receive: no VM has come yet
  | 'incoming' // receive: a VM is being taken over, it does not run here yet
  | 'running'
  | 'paused'
  | 'migrating' // still runs here, a migration is being prepared
  | 'handed-over' // runs on the other host, this end still serves its pages
  | 'link-lost' // a migration broke after COMMIT; this end keeps what it has
  | 'ending' // powered itself off, reset itself or failed while its pages still come: stands still until they are here
  | 'migrated' // everything is at the destination
  | 'stopped'
  | 'failed';

export type MigrationPhase =
  'connecting' | 'preparing' | 'handing-over' | 'pulling' | 'complete' | 'failed' | 'link-lost';

export interface MigrationProgress {
  phase: MigrationPhase;
  /** Pages that still have to reach the destination. */
  pagesLeft: number;
  pagesTotal: number;
  /** Bytes sent a second over the last interval, all channels. */
  bytesPerSecond: number;
  /** Demand requests received and not answered yet. */
  faultsWaiting: number;
  elapsedMs: number;
}

/** What `postcopy migrate --json` prints. All times are measured on the host that the name says. */
export interface MigrationSummary {
  status: 'completed' | 'failed' | 'link-lost';
  mode: 'post-copy';
  machine: MachineName;
  /** Set unless completed. */
  error?: { code: string; message: string };
  /**
   * Set if the link was lost before the destination said that the guest runs there, or asked for a page: only the
   * destination knows whether it has run it. All of the guest is here still (see ResumeRequest).
   */
  inDoubt?: boolean;
  /** From the request to COMPLETE, source clock. */
  totalMs: number;
  /** From the last vCPU stopped at the source to the first one running at the destination. */
  downtimeMs: number;
  /** Where the downtime went (migrate/report/downtime.ts). */
  downtimeParts: DowntimeParts;
  /** Bytes handed to the sockets by the source, all channels, headers included. */
  wireBytes: number;
  /**
   * 4 KiB pages. total: guest RAM; absent: never written, not sent; zero: read zero (the rest of huge pages, mostly), not
   * sent; resent: sent more than once (always 0 in post-copy).
   */
  pages: {
    total: number;
    sent: number;
    demanded: number;
    pushed: number;
    absent: number;
    zero: number;
    resent: number;
  };
  /**
   * Microseconds from a fault read at the destination to its page installed. These and the destination's other figures are
   * 0 if it could not send them: the link broke when every page was there.
   */
  faultWaitUs: { count: number; mean: number; p50: number; p90: number; p99: number; max: number };
  /** Sum of all fault waits: the time vCPUs stood still for pages. */
  vcpuBlockedMs: number;
  /** Guest RAM resident plus what the migration itself allocated, each end; sum: peak of both at one time. */
  memory: { sourcePeakBytes: number; destinationPeakBytes: number; sumPeakBytes: number };
}

export interface VmStatus {
  name: string;
  pid: number;
  version: string;
  machine: MachineName;
  state: VmState;
  /** Clear text of the last failure, if any. */
  problem?: string;
  /** While `ending`: what happened, and what is awaited, in clear text. */
  awaits?: string;
  memoryBytes: number;
  cpus: number;
  uptimeMs: number;
  /** Where `receive` listens, or where the VM came from / went to. */
  listen?: string;
  peer?: string;
  migration?: MigrationProgress;
  disks?: DiskStatus[];
  nets?: NetStatus[];
}

export interface DiskStatus {
  id: string;
  /** On this host. */
  path: string;
  readonly: boolean;
}

export interface NetStatus {
  id: string;
  /** Of the guest's interface. */
  mac: string;
  /** The TAP device on this host. */
  tap: string;
}

export interface MigrateRequest {
  host: string;
  port: number;
}

/** serial: COM1, ttyS0 in Linux; virtio: the virtio console, hvc0. */
export const CONSOLE_PORTS = ['serial', 'virtio'] as const;
export type ConsolePort = (typeof CONSOLE_PORTS)[number];

export interface ResumeRequest {
  /**
   * Also a VM whose last migration ended in doubt. The caller answers for it that the destination has not run the guest,
   * and never will.
   */
  force?: boolean;
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
  /** Joins a stream to a console of the guest, both directions; several at a time; detached when it closes. */
  attachConsole(stream: Duplex, port: ConsolePort): void;
}

/** How a VM process ended; `run` and `receive` print the message and exit with the code's number, 0 without one. */
export interface VmEnd {
  reason: 'power-off' | 'reset' | 'stopped' | 'migrated' | 'failed';
  message: string;
  code?: ErrorCode;
  /** A thread still waits for a page that does not come: only the end of the process ends it. */
  stuck?: boolean;
}
