import { afterAll, beforeAll, expect, test } from 'vitest';
import { sleep } from '../support/lab/deadline.js';
import { GuestVm } from '../support/lab/guest-vm.js';
import { Lab } from '../support/lab/lab.js';
import type { RemoteProcess } from '../support/lab/remote-process.js';

// The source is lost after COMMIT, with a stock guest: while it waits for a page it runs something else (KVM's asynchronous
// page faults), and a worker of the kernel waits for the page, which no signal reaches. The VM waits for its source to come
// again, which it never does; however such a VM is ended, its process and the kernel's worker have to go.

const PORT = 7200;
/** For many in a row: POSTCOPY_LAB_TRIES=20 scripts/lab end-after-loss. */
const TRIES = Number(process.env['POSTCOPY_LAB_TRIES'] ?? 2);
const COME_LIMIT_MS = 200_000;
const END_LIMIT_S = 60;
/**
 * Long enough for what the guest's kernel needs to have come, so that it is its processes that wait; then their faults are
 * not answered, and come together.
 */
const MOVING_MS = 6000;
const UNANSWERED_MS = 60_000;
const EXIT_LINK_LOST = 13;

let lab: Lab;
let made = 0;

beforeAll(async () => {
  lab = await Lab.start({ name: 'end-after-loss' });
});
afterAll(() => lab?.close());

interface ShortVm {
  vm: GuestVm;
  /** Its process at host 2. */
  receiver: RemoteProcess;
  pid: number;
}

/** A VM at host 2, and KVM waits there for pages that its source, which stands still, does not send. */
async function waitForPages(): Promise<ShortVm> {
  const [source, destination] = [lab.host(1), lab.host(2)];
  const vm = new GuestVm(`vm${++made}`, true);
  await vm.run(source, { cpus: 1, patternMib: 96, restUs: 5000 });
  const receiver = await vm.receive(destination, PORT + made);
  source.spawn(`postcopy migrate ${vm.name} ${destination.address}:${PORT + made} ${vm.secured}`);
  await receiver.output(/has come from/, COME_LIMIT_MS);
  await sleep(MOVING_MS);
  vm.here.process.kill('SIGSTOP');
  await expect
    .poll(async () => (await waitersForPages()).filter(isKernels), { timeout: UNANSWERED_MS, interval: 1000 })
    .not.toEqual([]);
  const status = await destination.run(`postcopy status ${vm.name} --json`);
  return { vm, receiver, pid: (JSON.parse(status) as { pid: number }).pid };
}

async function loseTheSource(): Promise<ShortVm> {
  const short = await waitForPages();
  short.vm.here.process.kill('SIGKILL');
  await short.receiver.output(/ runs on here, and waits only where it needs one of the /, COME_LIMIT_MS);
  return short;
}

/** Names of the threads of host 2 that wait for a page: of the VM's process, and workers of the kernel. */
async function waitersForPages(): Promise<string[]> {
  const names = await lab.host(2).run(`for stack in $(grep -ls handle_userfault /proc/[0-9]*/task/[0-9]*/stack); do
    cat \${stack%stack}comm
  done`);
  return names.split('\n').filter((name) => name !== '');
}

/** The kernel itself waits for a page. */
const isKernels = (name: string): boolean => name.startsWith('kworker');

async function expectGone(pid: number): Promise<void> {
  const host = lab.host(2);
  const gone = await host.exec(
    `for second in $(seq ${END_LIMIT_S}); do test -d /proc/${pid} || exit 0; sleep 1; done; exit 1`,
  );
  const state = gone.code === 0 ? '' : (await host.exec(`cat /proc/${pid}/status /proc/${pid}/stack`)).stdout;
  expect(state, `process ${pid} does not end`).toBe('');
  expect(await waitersForPages()).toEqual([]);
}

test('SIGTERM ends it, while the source is only silent', async () => {
  const { vm, receiver, pid } = await waitForPages();
  receiver.kill('SIGTERM');
  await expectGone(pid);
  vm.here.process.kill('SIGKILL');
});

test('SIGKILL ends it', async () => {
  const { receiver, pid } = await loseTheSource();
  receiver.kill('SIGKILL');
  await expectGone(pid);
});

for (let attempt = 1; attempt <= TRIES; attempt++) {
  test(`stop --force ends it (${attempt})`, async () => {
    const { vm, pid } = await loseTheSource();
    const stopped = await lab.host(2).exec(`postcopy stop ${vm.name} --force`);
    expect(stopped.code, stopped.stderr).toBe(EXIT_LINK_LOST);
    await expectGone(pid);
  });
}
