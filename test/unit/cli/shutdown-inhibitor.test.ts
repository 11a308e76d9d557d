/** The real shell, with a systemd-inhibit that tells what it is asked. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openShutdownInhibitor } from '../../../src/cli/shutdown-inhibitor.js';
import type { VmStatus } from '../../../src/vm/service.js';
import type { VmState } from '../../../src/watch/events.js';
import { EventStream } from '../../../src/watch/stream.js';

const WAIT = { timeout: 30_000, interval: 20 };

/** A host with systemd; what its systemd-inhibit is asked comes to the log. */
function host(inhibit = '"$@"') {
  const folder = mkdtempSync(join(tmpdir(), 'postcopy-inhibit-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const log = join(folder, 'log');
  const lines = ['#!/bin/sh', `echo "held $*" >>${log}`];
  lines.push('while [ "${1#--}" != "$1" ]; do shift; done', inhibit, `echo released >>${log}`);
  writeFileSync(join(folder, 'systemd-inhibit'), `${lines.join('\n')}\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  const told = () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(0, -1) : []);
  return { folder, told };
}

function running() {
  const status = { name: 'web', state: 'running' } as VmStatus;
  const events = new EventStream('web');
  const become = (state: VmState): void => {
    Object.assign(status, { state });
    events.publish({ type: 'state', state });
  };
  return { vm: { events, status: () => status }, become };
}

test('the host is held while pages leave and while they arrive, and no longer', async () => {
  const { folder, told } = host();
  const { vm, become } = running();
  const over = openShutdownInhibitor('web', folder).follow(vm);
  onTestFinished(over);
  become('migrating');
  become('handed-over');
  become('interrupted');
  become('running');
  await vi.waitFor(() => expect(told()).toEqual([expect.stringContaining('held --what=shutdown'), 'released']), WAIT);
  expect(told()[0]).toContain('--mode=block');
  expect(told()[0]).toContain('the VM web');
  vm.events.publish({ type: 'arrived', peer: 'there', paused: false });
  await vi.waitFor(() => expect(told()).toHaveLength(3), WAIT);
  vm.events.publish({ type: 'whole', peer: 'there' });
  await vi.waitFor(() => expect(told()).toHaveLength(4), WAIT);
});

test('what it holds goes with the process of the VM', async () => {
  const { folder, told } = host();
  const { vm, become } = running();
  const over = openShutdownInhibitor('web', folder).follow(vm);
  become('handed-over');
  await vi.waitFor(() => expect(told()).toHaveLength(1), WAIT);
  over();
  await vi.waitFor(() => expect(told().at(-1)).toBe('released'), WAIT);
});

test('one that is not granted is asked for again, and no more than that', async () => {
  const { folder, told } = host('exit 1');
  const { vm, become } = running();
  onTestFinished(openShutdownInhibitor('web', folder).follow(vm));
  for (const [state, asked] of [
    ['handed-over', 1],
    ['running', 1],
    ['handed-over', 2],
  ] as const) {
    become(state);
    await vi.waitFor(() => expect(told()).toHaveLength(asked), WAIT);
  }
});

test('without systemd nobody is asked', () => {
  const { folder, told } = host();
  const { vm, become } = running();
  const over = openShutdownInhibitor('web', join(folder, 'none')).follow(vm);
  become('handed-over');
  over();
  expect(told()).toEqual([]);
});
