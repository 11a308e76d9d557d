import { describe, expect, it } from 'vitest';
import { listText } from '../../../src/cli/list.js';
import { progressLine, summaryText } from '../../../src/cli/migration-text.js';
import { plain } from '../../../src/basics/plain.js';
import { reportError } from '../../../src/cli/output.js';
import { statusText } from '../../../src/cli/status.js';
import { formatDuration, formatMicros } from '../../../src/basics/units.js';
import { PostcopyError } from '../../../src/errors.js';
import { PROGRESS, STATUS, SUMMARY } from '../control/fake-vm.js';
import { FakeOutput } from './fake-output.js';

it.each([
  [0, '0 ms'],
  [12.34, '12.3 ms'],
  [4500, '4.5 s'],
  [200_000, '3 min 20 s'],
  [7_500_000, '2 h 5 min'],
  [273_600_000, '3 d 4 h'],
])('%d ms', (ms, text) => expect(formatDuration(ms)).toBe(text));

it.each([
  [28.44, '28.4 us'],
  [4000, '4 ms'],
])('%d us', (us, text) => expect(formatMicros(us)).toBe(text));

it('shows text of others without their control characters', () => {
  expect(plain('a\x1b[2Jb\r\nc\x9b1m')).toBe('a?[2Jb??c?1m');
});

it('shows a migration on one line', () => {
  expect(progressLine('vm1', PROGRESS)).toBe(
    'vm1: pulling, 1024 pages (4 MiB) left, 953.7 MiB/s, 3 faults waiting, 120 ms, about 4.2 ms to go',
  );
});

it('progress and summary tell the limit, if there is one', () => {
  expect(progressLine('vm1', { ...PROGRESS, bandwidth: 125_000_000 })).toContain(
    ' left, 953.7 MiB/s, limited to 119.2 MiB/s, 3 faults',
  );
  expect(summaryText('vm1', 'host2:7000', { ...SUMMARY, bandwidth: 104_857_600 })).toMatch(/^limited to +100 MiB\/s$/m);
});

it('progress and summary tell of rounds before the hand-over', () => {
  const round = { number: 2, dirtyPagesPerSecond: 256 };
  expect(progressLine('vm1', { ...PROGRESS, phase: 'copying', round })).toBe(
    'vm1: copying, round 2, 1024 pages (4 MiB) left, 953.7 MiB/s, the guest writes 1 MiB/s, 120 ms',
  );
  const pages = { ...SUMMARY.pages, copied: 512 };
  expect(summaryText('vm1', 'h:1', { ...SUMMARY, mode: 'hybrid', pages, rounds: { count: 1, ms: 1500 } })).toMatch(
    /^ {2}before it +512 pages \(2 MiB\) in 1 round, 1.5 s$/m,
  );
});

describe('the summary', () => {
  it('tells the outcome and the figures', () => {
    expect(summaryText('vm1', 'host2:7000', SUMMARY)).toBe(
      `vm1 is at host2:7000, moved completely in 1.2 s
mode              post-copy
machine           kvm
total time        1.2 s
downtime          1.5 ms
on the wire       515.9 MiB
guest memory      262144 pages (1 GiB)
  sent            131072 pages (512 MiB): 1000 demanded, 130072 pushed
  sent again      0 pages
  never written   131072 pages (512 MiB)
fault wait        1000 faults, mean 45.1 us
  p50 / p90       30 us / 60 us
  p99 / max       200 us / 4 ms
vCPUs blocked     45.1 ms
memory, peak      source 572.2 MiB, destination 572.2 MiB
  both at a time  667.6 MiB
`,
    );
  });

  it('tells where the VM is when the link was lost', () => {
    expect(summaryText('vm1', 'h:1', { ...SUMMARY, status: 'link-lost' })).toMatch(
      /^vm1 is lost, unless it runs whole at h:1/,
    );
  });
});

it('shows a status', () => {
  expect(statusText({ ...STATUS, state: 'waiting', listen: '[::]:7000' })).toBe(
    `name        vm1
machine     kvm
state       waiting
process     4711, postcopy 0.1.0
memory      1 GiB
vCPUs       2
up for      1 min 5 s
listens on  [::]:7000
`,
  );
});

it('shows what is still to come of a VM, and what hangs on it, at both ends', () => {
  const arrival = { pagesMissing: 512, bytesMissing: 2 << 20, bytesPerSecond: 1 << 20, leftMs: 2000, faultsWaiting: 1 };
  const arriving = statusText({ ...STATUS, peer: 'h:1', arrival });
  expect(arriving).toMatch(/^state +running, still arriving from h:1$/m);
  expect(arriving).toMatch(/^arrival +512 pages \(2 MiB\) to come, 1 MiB\/s, 1 faults waiting, about 2 s left$/m);
  expect(arriving).toMatch(/^at risk +if h:1 ends before the rest is here, vm1 is lost with 2 MiB of its memory$/m);
  const still = { ...arrival, bytesPerSecond: 0, leftMs: undefined };
  expect(statusText({ ...STATUS, peer: 'h:1', arrival: still })).toMatch(
    /0 B\/s, 1 faults waiting, nothing comes now$/m,
  );
  const migration = { ...PROGRESS, phase: 'pulling', pagesLeft: 512, bytesPerSecond: 1 << 20 } as const;
  const left = statusText({ ...STATUS, state: 'handed-over', peer: 'h:2', migration });
  expect(left).toMatch(/^at risk +vm1 runs at h:2, which lacks 2 MiB of its memory: if this process ends before/m);
  expect(left).toMatch(/^migration +vm1: pulling, .*, about 2 s to go$/m);
});

it('shows no shape of a VM that has not come yet', () => {
  const waiting = { ...STATUS, state: 'waiting' as const, memoryBytes: 0, cpus: 0, listen: 'h:1' };
  expect(statusText(waiting)).not.toMatch(/memory|vCPUs/);
  expect(listText([waiting])).toMatch(/^vm1 +waiting +4711 +- +- +- +- +1 min 5 s +listens on h:1$/m);
});

it('shows disks and interfaces', () => {
  const status = {
    ...STATUS,
    disks: [
      { id: 'root', path: '/srv/root.img', readonly: false },
      { id: 'iso', path: '/srv/a.iso', readonly: true },
    ],
    nets: [{ id: 'net0', mac: '52:54:00:00:00:01', tap: 'tap3' }],
  };
  expect(statusText(status)).toMatch(/^disk root +\/srv\/root.img\ndisk iso +\/srv\/a.iso, read-only\n/m);
  const errors = { count: 3, last: 'no space left on device', at: Date.now() };
  expect(statusText({ ...status, disks: [{ ...status.disks[0]!, errors }] })).toMatch(
    /^disk root +\/srv\/root.img, errors of the host: 3, the last \d+ ms ago: no space left on device$/m,
  );
  expect(statusText({ ...status, lostPages: 3 })).toMatch(/lost +3 pages of its memory, to memory errors/);
  expect(statusText({ ...status, panickedAt: 1_700_000_000_000 })).toMatch(
    /^guest +its kernel has panicked at 2023-11-14T22:13:20.000Z$/m,
  );
  expect(statusText(status)).toMatch(/^net net0 +52:54:00:00:00:01 on tap3$/m);
  expect(listText([status])).toMatch(/^vm1 +running +4711 +1 GiB +2 +2 +1 +1 min 5 s$/m);
});

it('shows a list', () => {
  expect(listText([])).toBe('no VMs\n');
  expect(listText([STATUS, { name: 'old', state: 'dead', problem: 'gone' }])).toBe(
    `NAME  STATE    PID   MEMORY  VCPUS  DISKS  NETS  UP         NOTE
vm1   running  4711  1 GiB   2      -      -     1 min 5 s
old   dead     -     -       -      -      -     -          gone
`,
  );
});

it.each([
  ['incoming' as const, 'comes from h:1'],
  ['running' as const, 'came from h:1'],
  ['handed-over' as const, 'runs at h:1'],
])('lists with a VM that is %s what its peer is to it', (state, note) => {
  expect(listText([{ ...STATUS, state, peer: 'h:1' }])).toMatch(new RegExp(`^vm1 .* ${note}$`, 'm'));
});

describe('errors', () => {
  const error = new PostcopyError('BAD_CONFIG', 'one\ntwo', new Error('why'));

  it('are a line each', () => {
    const output = new FakeOutput();
    reportError(output, error, 'warn');
    expect(output.stderr).toBe('postcopy: one\npostcopy: two (why)\n');
  });

  it('show stack and causes for debugging', () => {
    const output = new FakeOutput();
    reportError(output, error, 'debug');
    expect(output.stderr).toMatch(/text\.test\.ts[^]*caused by Error: why\n {4}at /);
  });

  it('that nobody expected are marked', () => {
    const output = new FakeOutput();
    reportError(output, new TypeError('x'), 'warn');
    expect(output.stderr).toBe('postcopy: internal error: x (--log-level debug shows where)\n');
  });
});
