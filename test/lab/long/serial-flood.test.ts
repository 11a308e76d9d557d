import { afterAll, beforeAll, expect, test } from 'vitest';
import { joinSerial } from '../../support/lab/guest-console.js';
import { GuestVm, serialSocket } from '../../support/lab/guest-vm.js';
import type { LabHost } from '../../support/lab/host.js';
import { Lab } from '../../support/lab/lab.js';
import type { RemoteProcess } from '../../support/lab/remote-process.js';

// A guest with two vCPUs that writes to its serial port as fast as it can, so that the vCPU that gets the port's interrupts
// has little time for anything else, even where nothing moves: a hang is a fault only if it comes with moves alone.

const PORT = 7340;
/** Of each kind, one after the other: POSTCOPY_LAB_TRIES=10 scripts/lab --all serial-flood. */
const TRIES = Number(process.env['POSTCOPY_LAB_TRIES'] ?? 2);
/** Longer than it took a CPU to hang (20 s), and its kernel to tell (20 s more), where that was seen. */
const WATCHED_MS = 45_000;
/** A CPU that hung was seen to go on after 168 s. */
const ANSWER_LIMIT_MS = 400_000;
const FLOOD = 'S ';

/** The flood itself would only cost this machine time: not a line of it gets here. */
class FloodingVm extends GuestVm {
  protected override joinConsole(host: LabHost): Promise<RemoteProcess> {
    return joinSerial(host, serialSocket(this.name), `awk '!/^${FLOOD}/ { print; fflush() }'`);
  }
}

interface Watched {
  ticks: number;
  /** Between two ticks. */
  longestSilenceMs: number;
  /** Of its kernel. */
  complaints: string[];
}

let lab: Lab;
const vm = new FloodingVm('vm', true);
const hung = { still: 0, moved: 0 };

beforeAll(async () => {
  lab = await Lab.start({ name: 'serial-flood', debian: ['bookworm', 'trixie'] });
  await vm.run(lab.host(1), { cpus: 2, patternMib: 8 });
  await vm.console.newKernelComplaints(); // those of the boot
  vm.console.send(`run (i=0; while :; do i=$((i+1)); echo "${FLOOD}$i"; done > /dev/ttyS0) &`);
  await vm.console.waitFor(/LAB run code=0/, ANSWER_LIMIT_MS);
});
afterAll(() => lab?.close());

/** Watches it from the `since`-th tick on. */
async function watch(since: number): Promise<Watched> {
  const end = performance.now() + WATCHED_MS;
  while (performance.now() < end) await vm.console.moreTicks(1, ANSWER_LIMIT_MS);
  const arrivals = vm.console.ticks.slice(since).map(({ arrivedMs }) => arrivedMs);
  const silences = arrivals.map((arrivedMs, index) => arrivedMs - (arrivals[index - 1] ?? arrivedMs));
  const complaints = await vm.console.newKernelComplaints();
  return { ticks: arrivals.length, longestSilenceMs: Math.round(Math.max(...silences)), complaints };
}

const isHang = (line: string): boolean => /lockup|stall/i.test(line);

function count(kind: keyof typeof hung, watched: Watched): void {
  console.info(kind, watched);
  if (watched.complaints.some(isHang)) hung[kind]++;
}

for (let attempt = 1; attempt <= TRIES; attempt++) {
  test(`where it is (${attempt})`, async () => {
    count('still', await watch(vm.console.ticks.length));
  });
}

for (let attempt = 1; attempt <= TRIES; attempt++) {
  test(`moved (${attempt})`, async () => {
    const to = lab.host(vm.here.host === lab.host(1) ? 2 : 1);
    const receiver = await vm.receive(to, PORT + attempt);
    const since = vm.console.ticks.length;
    const { code, stderr, summary } = await vm.migrate(to, PORT + attempt, receiver);
    expect(code, stderr).toBe(0);
    console.info(`to ${to.name}: ${summary.totalMs} ms, downtime ${summary.downtimeMs} ms`);
    count('moved', await watch(since));
  });
}

test('it hangs no more often for the moves', () => {
  console.info('of each', TRIES, 'hung', hung);
  expect(hung.moved).toBeLessThanOrEqual(hung.still);
});
