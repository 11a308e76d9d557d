import { afterAll, beforeAll, expect, test } from 'vitest';
import { sleep } from '../support/lab/deadline.js';
import { GuestVm } from '../support/lab/guest-vm.js';
import { Lab } from '../support/lab/lab.js';
import type { RemoteProcess } from '../support/lab/remote-process.js';

// The source is lost after COMMIT, with a stock guest: while it waits for a page it runs something else (KVM's asynchronous
// page faults), and a worker of the kernel waits for the page, which no signal reaches. However such a VM ends, its process
// and the kernel's worker have to go.

const PORT = 7200;
/** For many in a row: POSTCOPY_LAB_TRIES=20 scripts/lab end-after-loss. */
const TRIES = Number(process.env['POSTCOPY_LAB_TRIES'] ?? 2);
const COME_LIMIT_MS = 200_000;
const END_LIMIT_MS = 60_000;
/**
 * Long enough for what the guest's kernel needs to have come, so that it is its processes that wait; then their faults are
 * not answered, and come together.
 */
const MOVING_MS = 6000;
const UNANSWERED_MS = 4000;

let lab: Lab;
let made = 0;

beforeAll(async () => {
  lab = await Lab.start({ name: 'end-after-loss' });
});
afterAll(() => lab?.close());

interface LostVm {
  vm: GuestVm;
  receiver: RemoteProcess;
  pid: number;
}

/** A VM at host 2 whose source has died in the middle. */
async function loseTheSource(): Promise<LostVm> {
  const [source, destination] = [lab.host(1), lab.host(2)];
  const vm = new GuestVm(`vm${++made}`);
  await vm.run(source, { cpus: 1, patternMib: 96, restUs: 5000 });
  const receiver = await vm.receive(destination, PORT + made);
  const migration = source.spawn(`postcopy migrate ${vm.name} ${destination.address}:${PORT + made}`);
  await receiver.output(/has come from/, COME_LIMIT_MS);
  await sleep(MOVING_MS);
  vm.here.process.kill('SIGSTOP');
  await sleep(UNANSWERED_MS);
  vm.here.process.kill('SIGKILL');
  await receiver.output(/of the VM were still there/, COME_LIMIT_MS);
  await migration.ended(END_LIMIT_MS);
  expect((await waitersForPages()).filter(isKernels)).not.toEqual([]);
  const pid = Number(
    await destination.run(`postcopy status ${vm.name} --json | sed -n 's/.*"pid": *\\([0-9]*\\).*/\\1/p'`),
  );
  return { vm, receiver, pid };
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

async function expectGone({ receiver, pid }: LostVm): Promise<void> {
  try {
    await receiver.ended(END_LIMIT_MS);
  } catch (cause) {
    const state = await lab.host(2).run(`cat /proc/${pid}/status /proc/${pid}/stack`);
    throw new Error(`process ${pid} does not end:\n${state}\nwaiting for pages:\n${(await waitersForPages()).join()}`, {
      cause,
    });
  }
  expect((await lab.host(2).exec(`test -d /proc/${pid}`)).code).not.toBe(0);
  expect(await waitersForPages()).toEqual([]);
}

test('SIGTERM ends it', async () => {
  const lost = await loseTheSource();
  lost.receiver.kill('SIGTERM');
  await expectGone(lost);
});

test('SIGKILL ends it', async () => {
  const lost = await loseTheSource();
  lost.receiver.kill('SIGKILL');
  await expectGone(lost);
});

for (let attempt = 1; attempt <= TRIES; attempt++) {
  test(`stop --force ends it (${attempt})`, async () => {
    const lost = await loseTheSource();
    const stop = await lab.host(2).exec(`postcopy stop ${lost.vm.name} --force`, { timeoutMs: END_LIMIT_MS });
    expect(stop.code).toBe(0);
    await expectGone(lost);
  });
}
