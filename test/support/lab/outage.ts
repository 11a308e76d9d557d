import { expect } from 'vitest';
import type { MigrationSummary } from '../../../src/migrate/report/summary.js';
import { sleep } from './deadline.js';
import type { GuestVm, Migration } from './guest-vm.js';
import type { LabHost } from './host.js';
import type { RemoteProcess } from './remote-process.js';

const MOVE_LIMIT_MS = 400_000;
const END_LIMIT_MS = 150_000;
/** What a process says of a broken link, at the latest this long behind the last sign of the other end. */
const BROKEN_LIMIT_MS = 100_000;
/** Longer than it takes a migration to hear of the other end when the cable is back. */
const HEARD_MS = 4000;

/** When the cable is out, and for how long. */
interface Outage {
  seconds: number;
  /** Long enough for both ends to call the link broken. */
  breaks: boolean;
  /** Seconds that it is out once more, while the ends find each other again. */
  again?: number;
}

/** By this machine's monotonic clock. */
interface Span {
  startMs: number;
  endMs: number;
}

/** Moves the VM to a host; once it runs there, the cable of the host that it comes from is pulled, and put back. */
export async function moveThroughOutage(vm: GuestVm, to: LabHost, port: number, outage: Outage): Promise<Migration> {
  const from = vm.here;
  const receiver = await vm.receive(to, port);
  const outageMs = (outage.seconds + (outage.again ?? 0)) * 1000;
  const migration = vm.migrate(to, port, receiver, '', outageMs);
  migration.catch(() => {}); // awaited below, whatever ends before it
  const out = await pullCable(from.host, receiver, outage);
  const over = await migration.catch(async (error: unknown) => {
    const status = await Promise.all([from.host, to].map((host) => vm.statusAt(host)));
    throw new Error(`The VM does not get there; at both ends:\n${status.join('\n')}`, { cause: error });
  });
  const words = `${over.stderr}\n${from.process.describeOutput()}\n${receiver.describeOutput()}`;
  expect({ code: over.code, status: over.summary?.status }, words).toEqual({ code: 0, status: 'completed' });
  const late = 'the pages had all come before the cable was pulled';
  expect(over.summary.totalMs, late).toBeGreaterThan(outage.seconds * 1000);
  expect(await from.process.ended(END_LIMIT_MS)).toBe(0);
  tell(vm, outage, out, over.summary);
  return over;
}

function tell(vm: GuestVm, outage: Outage, out: Span, { totalMs, downtimeMs, pages }: MigrationSummary): void {
  const times = vm.console.ticks.map(({ arrivedMs }) => arrivedMs);
  const ticks = times.filter((ms) => ms >= out.startMs && ms < out.endMs).length;
  console.info(outage, `${ticks} ticks meanwhile; in all ${totalMs} ms, downtime ${downtimeMs} ms, pages`, pages);
}

/** Once the VM runs at the receiver; until the cable is back for good. */
async function pullCable(host: LabHost, receiver: RemoteProcess, outage: Outage): Promise<Span> {
  try {
    await receiver.output(/has come from/, MOVE_LIMIT_MS);
    const startMs = performance.now();
    await outageOf(host, outage.seconds);
    const endMs = performance.now();
    if (outage.breaks) await receiver.output(/ runs on here, and waits only where it needs one of /, BROKEN_LIMIT_MS);
    if (outage.again !== undefined) {
      await sleep(HEARD_MS);
      await outageOf(host, outage.again);
    }
    return { startMs, endMs };
  } finally {
    await host.setLink(true);
  }
}

async function outageOf(host: LabHost, seconds: number): Promise<void> {
  await host.setLink(false);
  await sleep(seconds * 1000);
  await host.setLink(true);
}
