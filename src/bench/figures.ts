/** A run's raw material made into its figures. */
import type { GuestReport } from '../trial/guest-console.js';
import { bytesOfPages } from '../memory/page-size.js';
import { longestWaits, slowAccesses, type Histogram, type Waits } from './fault-waits.js';
import type { Cost } from './meters.js';
import type { Figures } from './result.js';
import { steadyRate } from './steady-rate.js';
import type { OwnAccount, PagesLeft } from './system.js';
import { backUs, lostUs, speedAtEnd, standstillUs, switchStallUs, type Timeline } from './timeline.js';

/** The guest's last second tells its speed after the migration. */
const AFTER_US = 1_000_000;

export interface Material {
  line: Timeline;
  /** Long after the migration, and at its end. */
  report: GuestReport;
  whenMoved: GuestReport;
  /** At its end. */
  buckets: Histogram;
  account: OwnAccount;
  cost: Cost;
  totalMs: number;
  clockLostUs: number;
  stayed: boolean;
  pagesLeft: PagesLeft[];
}

export function figuresOf(material: Material): Figures {
  return {
    ...stalls(material),
    ...waits(material),
    ...speeds(material),
    ...bytes(material),
    ...costs(material),
    ...passes(material),
  };
}

function stalls({ line, report, clockLostUs, totalMs, account }: Material) {
  const atSwitch = switchStallUs(line);
  return {
    longestStallMs: report.longest_us / 1000,
    ...(atSwitch === undefined ? {} : { switchStallMs: atSwitch / 1000 }),
    clockLostMs: clockLostUs / 1000,
    stalledMs: report.stalled_us / 1000,
    totalMs,
    ownTotalMs: account.totalMs,
    ownDowntimeMs: account.downtimeMs,
    // What the guest's clock does not show, it cannot tell either.
    standstillMs: (standstillUs(line) + Math.max(0, clockLostUs)) / 1000,
  };
}

function passes({ account, stayed, pagesLeft }: Material) {
  const rate = steadyRate(pagesLeft);
  return {
    moved: stayed ? 0 : 1,
    ...(account.rounds === undefined ? {} : { rounds: account.rounds }),
    ...(rate === undefined ? {} : { steadyRate: rate }),
  };
}

function waits({ line, whenMoved, buckets, account }: Material) {
  const faults = longestWaits(buckets, account.faults, whenMoved.longest_us);
  const slow = slowAccesses(buckets, whenMoved.longest_us);
  return {
    faults: account.faults,
    ...(faults.count === 0 ? {} : faultWaits(faults)),
    ...meanLater(faults, switchStallUs(line)),
    slowCount: slow.count,
    slowMeanUs: slow.meanUs,
  };
}

function faultWaits({ meanUs, p50Us, p99Us, maxUs }: Waits) {
  return { faultWaitMeanUs: meanUs, faultWaitP50Us: p50Us, faultWaitP99Us: p99Us, faultWaitMaxUs: maxUs };
}

function meanLater({ count, meanUs }: Waits, atSwitchUs: number | undefined) {
  if (atSwitchUs === undefined || count < 2) return {};
  return { faultWaitMeanLaterUs: Math.max(0, count * meanUs - atSwitchUs) / (count - 1) };
}

function speeds({ line, totalMs }: Material) {
  const after = speedAtEnd(line, AFTER_US);
  const back = backUs(line, line.before);
  const settled = backUs(line, Math.min(line.before, after));
  // A guest whose speed never fell may have lost a little all the same, until everything had arrived.
  const until = settled === 0 || settled === Infinity ? totalMs * 1000 : settled;
  return {
    lostMs: lostUs(line, until) / 1000,
    ...(back === Infinity ? {} : { backMs: back / 1000 }),
    speedBefore: line.before / line.intervalUs,
    speedAfter: after / line.intervalUs,
    speedRatio: after / line.before,
  };
}

function bytes({ account, cost }: Material) {
  const dataBytes = bytesOfPages(account.dataPages);
  // A loopback interface counts both directions in one number.
  const interfaceBytes =
    cost.wire.received === cost.wire.sent ? cost.wire.received : cost.wire.received + cost.wire.sent;
  return {
    wireBytes: account.wireBytes,
    interfaceBytes,
    dataBytes,
    ...(dataBytes === 0
      ? {}
      : { wireRatio: account.wireBytes / dataBytes, interfaceRatio: interfaceBytes / dataBytes }),
  };
}

function costs({ account, cost }: Material) {
  const dataBytes = bytesOfPages(account.dataPages);
  const { beforeBytes, peakBytes, tcpPeakBytes } = cost.memory;
  const grown = peakBytes + tcpPeakBytes - beforeBytes;
  return {
    memoryBytes: dataBytes + grown,
    ...(dataBytes === 0 ? {} : { memoryRatio: (dataBytes + grown) / dataBytes }),
    memoryBeforeBytes: beforeBytes,
    memoryPeakBytes: peakBytes,
    tcpBuffersPeakBytes: tcpPeakBytes,
    cpuMs: cost.cpu.totalMs,
    cpuWithoutVcpusMs: cost.cpu.totalMs - cost.cpu.vcpuMs,
  };
}
