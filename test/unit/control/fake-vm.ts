import type { Duplex } from 'node:stream';
import type {
  LimitRequest,
  MeasureRequest,
  MigrateRequest,
  ResumeRequest,
  StopRequest,
  VmService,
  VmStatus,
  WriteMeasure,
} from '../../../src/vm/service.js';
import { EventStream } from '../../../src/watch/stream.js';
import type { ConsolePort } from '../../../src/console/console-port.js';
import type { MigrationProgress, MigrationSummary } from '../../../src/migrate/report/summary.js';

export const STATUS: VmStatus = {
  name: 'vm1',
  pid: 4711,
  version: '0.1.0',
  machine: 'kvm',
  state: 'running',
  memoryBytes: 1073741824,
  cpus: 2,
  uptimeMs: 65_000,
};

export const PROGRESS: MigrationProgress = {
  phase: 'pulling',
  pagesLeft: 1024,
  pagesTotal: 262144,
  bytesPerSecond: 1e9,
  faultsWaiting: 3,
  elapsedMs: 120,
};

export const SUMMARY: MigrationSummary = {
  status: 'completed',
  mode: 'post-copy',
  machine: 'kvm',
  totalMs: 1234.5,
  downtimeMs: 1.5,
  downtimeParts: { stop: 0.3, save: 0.3, copy: 0, map: 0.1, transfer: 0.3, load: 0.3, commit: 0.1, start: 0.1 },
  wireBytes: 541_000_000,
  pages: { total: 262144, sent: 131072, demanded: 1000, pushed: 130072, copied: 0, absent: 131072, zero: 0, resent: 0 },
  faultWaitUs: { count: 1000, mean: 45.1, p50: 30, p90: 60, p99: 200, max: 4000 },
  vcpuBlockedMs: 45.1,
  memory: { sourcePeakBytes: 6e8, destinationPeakBytes: 6e8, sumPeakBytes: 7e8 },
};

const MEASURE: WriteMeasure = {
  pages: 262144,
  dataPages: 131072,
  cpus: 2,
  xsaveBytes: 4096,
  written: [
    { ms: 100, pages: 1000 },
    { ms: 2000, pages: 2000 },
  ],
};

/** A VM that does what a test tells it. */
export class FakeVm implements VmService {
  readonly events = new EventStream('vm1');
  calls: string[] = [];
  stops: StopRequest[] = [];
  resumes: ResumeRequest[] = [];
  migrations: MigrateRequest[] = [];
  current: VmStatus = STATUS;
  /** Thrown by pause(), resume() and stop(). */
  refusal: Error | undefined;
  onMigrate: (request: MigrateRequest, onProgress: (progress: MigrationProgress) => void) => Promise<MigrationSummary> =
    async () => SUMMARY;
  onConsole: (stream: Duplex) => void = (stream) => stream.pipe(stream);

  status(): VmStatus {
    return this.current;
  }

  pause(): Promise<void> {
    return this.#act('pause');
  }

  resume(request: ResumeRequest = {}): Promise<void> {
    this.resumes.push(request);
    return this.#act('resume');
  }

  stop(request: StopRequest = {}): Promise<void> {
    this.stops.push(request);
    return this.#act('stop');
  }

  migrate(request: MigrateRequest, onProgress: (progress: MigrationProgress) => void): Promise<MigrationSummary> {
    this.migrations.push(request);
    this.calls.push(`migrate ${request.host} ${request.port}`);
    return this.onMigrate(request, onProgress);
  }

  cancelMigration(): Promise<void> {
    return this.#act('cancel');
  }

  limit({ bandwidth }: LimitRequest): Promise<void> {
    return this.#act(`limit ${bandwidth}`);
  }

  async measure({ seconds }: MeasureRequest = {}): Promise<WriteMeasure> {
    await this.#act(`measure ${seconds}`);
    return MEASURE;
  }

  recover(address?: { host: string; port: number }): Promise<void> {
    return this.#act(address === undefined ? 'recover' : `recover ${address.host} ${address.port}`);
  }

  attachConsole(stream: Duplex, port: ConsolePort): void {
    this.calls.push(`console ${port}`);
    this.onConsole(stream);
  }

  async #act(name: string): Promise<void> {
    this.calls.push(name);
    if (this.refusal !== undefined) throw this.refusal;
  }
}
