/** Figures as people read them, the same in the text table and in the report. */
import type { HostFacts } from '../host-facts.js';
import type { Figures, Target } from '../result.js';
import type { Spread } from '../statistics.js';
import { MIB } from '../../memory/page-size.js';

export type FigureKind = 'ms' | 'us' | 'count' | 'bytes' | 'times' | 'speed';

/** Every figure there is, in the order of the tables. */
export const FIGURES: readonly { field: keyof Figures; label: string; kind: FigureKind }[] = [
  { field: 'totalMs', label: 'total time', kind: 'ms' },
  { field: 'ownTotalMs', label: "total time, the system's own", kind: 'ms' },
  { field: 'ownDowntimeMs', label: "downtime, the system's own", kind: 'ms' },
  { field: 'longestStallMs', label: 'longest stall', kind: 'ms' },
  { field: 'switchStallMs', label: 'stall at the switch-over', kind: 'ms' },
  { field: 'standstillMs', label: 'standstill, by its work', kind: 'ms' },
  { field: 'clockLostMs', label: "time the guest's clock lost", kind: 'ms' },
  { field: 'rounds', label: 'rounds before the hand-over', kind: 'count' },
  { field: 'moved', label: 'moved (1) or stayed (0)', kind: 'count' },
  { field: 'faults', label: 'demand faults, as counted', kind: 'count' },
  { field: 'faultWaitMeanUs', label: 'fault wait, mean', kind: 'us' },
  { field: 'faultWaitP50Us', label: 'fault wait, p50', kind: 'us' },
  { field: 'faultWaitP99Us', label: 'fault wait, p99', kind: 'us' },
  { field: 'faultWaitMaxUs', label: 'fault wait, longest', kind: 'us' },
  { field: 'faultWaitMeanLaterUs', label: 'fault wait, mean, switch-over left out', kind: 'us' },
  { field: 'slowCount', label: 'accesses over 50 us', kind: 'count' },
  { field: 'slowMeanUs', label: 'accesses over 50 us, mean', kind: 'us' },
  { field: 'lostMs', label: 'guest time lost', kind: 'ms' },
  { field: 'stalledMs', label: 'sum of all stalls', kind: 'ms' },
  { field: 'backMs', label: 'until 90 % of its speed', kind: 'ms' },
  { field: 'speedBefore', label: 'speed before, accesses/us', kind: 'speed' },
  { field: 'speedAfter', label: 'speed after, accesses/us', kind: 'speed' },
  { field: 'speedRatio', label: 'speed after, of before', kind: 'times' },
  { field: 'dataBytes', label: 'pages that hold data', kind: 'bytes' },
  { field: 'wireBytes', label: "on the wire, the system's own", kind: 'bytes' },
  { field: 'interfaceBytes', label: 'on the wire, the interface', kind: 'bytes' },
  { field: 'wireRatio', label: 'on the wire, own, of data', kind: 'times' },
  { field: 'interfaceRatio', label: 'on the wire, interface, of data', kind: 'times' },
  { field: 'memoryBytes', label: 'guest RAM held, both ends, peak', kind: 'bytes' },
  { field: 'memoryRatio', label: 'guest RAM held, of RAM in use', kind: 'times' },
  { field: 'memoryBeforeBytes', label: 'both processes before', kind: 'bytes' },
  { field: 'memoryPeakBytes', label: 'both processes at the peak', kind: 'bytes' },
  { field: 'tcpBuffersPeakBytes', label: 'TCP buffers at the peak', kind: 'bytes' },
  { field: 'cpuMs', label: 'CPU time, both ends', kind: 'ms' },
  { field: 'cpuWithoutVcpusMs', label: 'CPU time without vCPUs', kind: 'ms' },
];

const UNIT: Record<FigureKind, string> = { ms: ' ms', us: ' us', count: '', bytes: ' MiB', times: ' x', speed: '' };

/** `12.3 ms (11.0-14.2)`; `-` if there is none. */
export function formatSpread(spread: Spread | undefined, kind: FigureKind): string {
  if (spread === undefined) return '-';
  const number = (value: number) => formatNumber(value, kind);
  const text = `${number(spread.median)}${UNIT[kind]}`;
  return spread.count === 1 ? text : `${text} (${number(spread.min)}-${number(spread.max)})`;
}

function formatNumber(value: number, kind: FigureKind): string {
  if (kind === 'bytes') return (value / MIB).toFixed(1);
  if (kind === 'times') return value.toFixed(3);
  if (kind === 'speed') return value.toFixed(2);
  if (kind === 'count') return value.toFixed(0);
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}

/** A figure against the same without what is paid for. */
export function formatPrice(ratio: number | undefined): string {
  return ratio === undefined ? '-' : `${ratio.toFixed(2)} x`;
}

const AGAINST: Record<Target['against'], string> = {
  'qemu-preempt': 'vs QEMU with preempt',
  qemu: 'vs QEMU without',
  'qemu-multifd': 'vs QEMU with multifd',
  fixed: '',
};

export function againstText({ against }: Target): string {
  return AGAINST[against];
}

export function hostText({ machine, cpu, cores, kernel, kvmModules, qemu }: HostFacts): string {
  const named = kvmModules.length === 0 ? 'KVM' : kvmModules.join(' ');
  const kvm = machine === 'kvm' ? named : 'machine of threads';
  return `${cpu}, ${cores} cores, Linux ${kernel}, ${kvm}, ${qemu ?? 'no QEMU'}`;
}

export function formatTargetValue({ value, unit }: Target): string {
  if (value === undefined) return 'not measured';
  return unit === 'ratio' ? formatRatio(value) : `${value.toFixed(3)} ${unit}`;
}

export function formatTargetLimit({ limit, unit }: Target): string {
  if (unit !== 'ratio') return `<= ${limit} ${unit}`;
  return limit < 1 ? `<= 1/${Math.round(1 / limit)}` : `<= ${limit}`;
}

/** Below 1 as a fraction of 1, as the targets are set. */
function formatRatio(value: number): string {
  return value < 1 ? `1/${(1 / value).toFixed(1)}` : value.toFixed(2);
}

export function formatMet({ met, rounds }: Target): string {
  if (met === undefined) return '-';
  const word = met ? 'met' : 'MISSED';
  return rounds === undefined ? word : `${word} (${rounds.within} of ${rounds.of} rounds)`;
}
