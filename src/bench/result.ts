/** What a benchmark found: the type of `--json`. */
import type { GivenMigrateOptions } from '../migrate/options.js';
import type { GuestReport, GuestVerdict } from '../trial/guest-console.js';
import type { Histogram } from './fault-waits.js';
import type { HostFacts } from './host-facts.js';
import type { Spread } from './statistics.js';
import type { OwnAccount, PagesLeft, QemuName, SystemName } from './system.js';
import type { Timeline } from './timeline.js';

export interface Workload {
  memoryBytes: number;
  workingSetBytes: number;
  cpus: number;
  pattern: string;
  /** Accesses a second of each vCPU; without it, as many as it can. */
  rate?: number;
  /** What is asked of the migration, of any system as far as it has it; without it, the defaults. */
  migrate?: GivenMigrateOptions;
}

/** The figures of one run. Times in the guest's clock are as the guest felt them. */
export interface Figures {
  /** The longest access from the command on. */
  longestStallMs: number;
  /** The stall at the switch-over (timeline.ts); missing if the guest's speed never fell below half. */
  switchStallMs?: number;
  /** How much less than the host's clock the guest's went on over the migration: a stall that it cannot feel. */
  clockLostMs: number;
  /** Demand faults as the system counted them. */
  faults: number;
  /** The mean of the `faults` longest accesses; missing if there were none. */
  faultWaitMeanUs?: number;
  faultWaitP50Us?: number;
  faultWaitP99Us?: number;
  faultWaitMaxUs?: number;
  /** The same mean without the access that spans the switch-over, which waits for the machine and not for a page. */
  faultWaitMeanLaterUs?: number;
  /** The number of accesses longer than 50 us. */
  slowCount: number;
  slowMeanUs: number;
  /**
   * Work missing against the speed before, from the command until the guest was back, as time at full speed of the whole
   * guest. Back is here 90 % of the lower of the speeds before and after: a guest that stays slower, because it lost its
   * huge pages, is not charged for that without end.
   */
  lostMs: number;
  /** Sum of all accesses longer than 5 us from the command on, all vCPUs. */
  stalledMs: number;
  /** The time from the command until 50 ms begin with 90 % of the speed before; missing if they never did. */
  backMs?: number;
  /** Million accesses a second. */
  speedBefore: number;
  speedAfter: number;
  speedRatio: number;
  /** The time from the command until the system said that it was complete. */
  totalMs: number;
  ownTotalMs: number;
  ownDowntimeMs: number;
  /** The longest time in which it did next to nothing, by the host's clock (timeline.ts). */
  standstillMs: number;
  /** 1 if the guest moved, 0 if it stayed at the source because that was asked for. */
  moved: number;
  /** Passes over memory before the hand-over; missing if there were none. */
  rounds?: number;
  /** Bytes a second that arrived in the middle of it, as its progress shows; missing if that was too short. */
  steadyRate?: number;
  /** Bytes sent as the system counts them, and as the interface does: both directions, all headers. */
  wireBytes: number;
  interfaceBytes: number;
  /** Pages that hold data, in bytes. */
  dataBytes: number;
  /** Ratios to pages that hold data are missing if the system does not say how many it sent. */
  wireRatio?: number;
  interfaceRatio?: number;
  /** Both ends at their peak: what they took on during the migration, on top of the guest's RAM in use. */
  memoryBytes: number;
  memoryRatio?: number;
  /** The kernel's own figures for both processes together, everything included. */
  memoryBeforeBytes: number;
  memoryPeakBytes: number;
  tcpBuffersPeakBytes: number;
  /** CPU time of both ends from the command to completion. */
  cpuMs: number;
  cpuWithoutVcpusMs: number;
}

export interface RunResult {
  system: SystemName;
  round: number;
  figures: Figures;
  timeline: Timeline;
  histogram: Histogram;
  /** Milliseconds since the command. */
  pagesLeft: PagesLeft[];
  report: GuestReport;
  verdict: GuestVerdict;
  account: OwnAccount;
}

export interface FailedRun {
  system: SystemName;
  round: number;
  message: string;
}

/** Over the rounds; a figure is missing if no run has it. */
export type Summary = Partial<Record<keyof Figures, Spread>>;

export interface ScenarioResult {
  name: string;
  title: string;
  workload: Workload;
  link: string;
  rttMs?: number | undefined;
  runs: RunResult[];
  failed: FailedRun[];
  summaries: Partial<Record<SystemName, Summary>>;
}

/** One line of the table of targets. */
export interface Target {
  title: string;
  against: QemuName | 'fixed';
  /** A ratio of medians to the other system's, or the figure itself. Missing if it was not measured. */
  value?: number | undefined;
  limit: number;
  unit: 'ratio' | 'ms' | 'times' | 'round trips' | 'runs' | '%';
  met?: boolean;
  /** Of a ratio over the rounds that both have: in how many it was within the limit. */
  rounds?: { within: number; of: number };
}

export interface BenchResult {
  /** The version of this format. */
  version: 1;
  startedAt: string;
  host: HostFacts;
  options: { rounds: number; systems: SystemName[] };
  scenarios: ScenarioResult[];
  targets: Target[];
}
