/** What the source tells of a migration: its progress while it runs (watch/events.ts), its summary at the end. */
import type { Fact } from '../../errors.js';
import type { MachineName } from '../../configure/machine-setting.js';
import type { ChannelTrial, Finding } from '../../watch/events.js';
import type { MigrationMode } from '../options.js';
import type { DowntimeParts } from './downtime.js';

export type { ChannelTrial, Finding, MigrationPhase, MigrationProgress } from '../../watch/events.js';

/** What `postcopy migrate --json` prints. All times are measured on the host that the name says. */
export interface MigrationSummary {
  status: 'completed' | 'failed' | 'link-lost' | 'dry-run';
  mode: MigrationMode;
  machine: MachineName;
  /** Set if it failed, or the link was lost. */
  error?: { code: string; message: string; facts?: readonly Fact[] | undefined };
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
  /** Of a dry run: what was compared and measured. */
  findings?: Finding[] | undefined;
  /** Page channels as they were tried; none with a destination of an older release, or if it did not come to that. */
  channels?: ChannelTrial[] | undefined;
  /** Bytes per second that could be sent at most, as was said last; not set if there was no limit. */
  bandwidth?: number | undefined;
  /** Bytes handed to the sockets by the source, all channels, headers included. */
  wireBytes: number;
  /**
   * 4 KiB pages. total: guest RAM; sent: all in all; copied: before the hand-over; absent: never written, not sent; zero: read
   * zero (the rest of huge pages, mostly), not sent; resent: sent more than once (always 0 in post-copy). A VM's process of a
   * release without rounds says nothing of copied.
   */
  pages: {
    total: number;
    sent: number;
    demanded: number;
    pushed: number;
    copied?: number | undefined;
    absent: number;
    zero: number;
    resent: number;
  };
  /** Those before the hand-over, if there were any, and how long they took, milliseconds. */
  rounds?: { count: number; ms: number } | undefined;
  /** How long it was watched where the guest writes, milliseconds, and how many pages that were, if it was. */
  watched?: { ms: number; pages: number } | undefined;
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
