import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { hostVm, type HostedVm } from '../../../src/cli/host-vm.js';
import type { SerialSetting } from '../../../src/configure/serial-setting.js';
import { VmClient } from '../../../src/control/client.js';
import type { StopRequest, VmEnd } from '../../../src/vm/service.js';
import { PostcopyError } from '../../../src/errors.js';
import type { VmProcess } from '../../../src/vm/vm-process.js';
import { FakeLocks } from '../control/fake-lock.js';
import { FakeVm, STATUS } from '../control/fake-vm.js';
import { FakeOutput } from './fake-output.js';

const STOPPED: VmEnd = { reason: 'stopped', message: 'vm1 was stopped' };

class FakeProcess extends FakeVm implements VmProcess {
  end: (how: VmEnd) => void = () => {};
  readonly ended = new Promise<VmEnd>((resolve) => (this.end = resolve));

  override async stop(request?: StopRequest): Promise<void> {
    await super.stop(request);
    this.end(STOPPED);
  }
}

/** Loading what it needs takes its time, on a busy host. */
const READY = { timeout: 20_000 };

let directory: string;
let output: FakeOutput;
let locks: FakeLocks;
let vm: FakeProcess;
let signalsBefore: number;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postcopy-host-'));
  vi.stubEnv('POSTCOPY_RUNTIME_DIR', join(directory, 'run'));
  output = new FakeOutput();
  locks = new FakeLocks();
  vm = new FakeProcess();
  signalsBefore = process.listenerCount('SIGTERM');
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  // Whatever happened: nothing may be left.
  expect(existsSync(join(directory, 'run')) ? readdirSync(join(directory, 'run')) : []).toEqual([]);
  expect(readdirSync(directory).filter((file) => file !== 'run')).toEqual([]);
  expect(process.listenerCount('SIGTERM')).toBe(signalsBefore);
  rmSync(directory, { recursive: true });
});

function host(change: Partial<HostedVm> = {}): Promise<number> {
  const hosted: HostedVm = {
    name: 'vm1',
    serial: { kind: 'null' },
    console: { kind: 'null' },
    start: async () => vm,
    ...change,
  };
  return hostVm(hosted, { output, logLevel: 'silent', confine: false, lockFile: locks.lockFile });
}

async function talk<T>(what: (client: VmClient) => Promise<T>): Promise<T> {
  const client = new VmClient('vm1');
  try {
    return await what(client);
  } finally {
    await client.close();
  }
}

describe('a VM process', () => {
  it('serves its VM until it is over, says how it ended and exits with its code', async () => {
    const code = host();
    await vi.waitFor(async () => expect(await talk((client) => client.status())).toEqual(STATUS), READY);
    vm.end({ reason: 'failed', message: 'triple fault\nrip 0', code: 'GUEST_FAILED' });
    expect(await code).toBe(14);
    expect(output.stderr).toBe('postcopy: triple fault\npostcopy: rip 0\n');
    await expect(talk((client) => client.status())).rejects.toMatchObject({ code: 'NO_SUCH_VM' });
  });

  it('answers before the VM is built', async () => {
    let built: () => void = () => {};
    const code = host({ start: () => new Promise((resolve) => (built = () => resolve(vm))) });
    await vi.waitFor(
      () => expect(talk((client) => client.status())).rejects.toMatchObject({ code: 'WRONG_STATE' }),
      READY,
    );
    built();
    await vi.waitFor(async () => expect((await talk((client) => client.status())).name).toBe('vm1'), READY);
    vm.end(STOPPED);
    expect(await code).toBe(0);
  });

  it('is stopped over its socket, and the answer arrives', async () => {
    const code = host();
    await vi.waitFor(() => talk((client) => client.stop({ force: true })), READY);
    expect(await code).toBe(0);
    expect(output.stderr).toBe('postcopy: vm1 was stopped\n');
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('ends cleanly on %s', async (signal) => {
    const code = host({ started: () => process.kill(process.pid, signal) });
    expect(await code).toBe(0);
    expect(vm.calls).toEqual(['stop']);
    expect(vm.stops).toEqual([{ force: true }]);
  });

  it('ends as soon as it is built when it was told so before', async () => {
    const code = host({
      start: async () => {
        process.kill(process.pid, 'SIGTERM');
        await new Promise((resolve) => setTimeout(resolve, 50));
        expect(vm.calls).toEqual([]);
        return vm;
      },
    });
    expect(await code).toBe(0);
    expect(vm.calls).toEqual(['stop']);
  });

  it('does not wait for the guest at the second signal', async () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation((() => {}) as never);
    vm.stop = () => new Promise(() => {});
    const code = host({ started: () => process.kill(process.pid, 'SIGTERM') });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(exit).not.toHaveBeenCalled();
    process.kill(process.pid, 'SIGINT');
    await vi.waitFor(() => expect(exit).toHaveBeenCalledWith(130));
    vm.end(STOPPED);
    await code;
  });

  it.each([
    ['handed-over', /^postcopy: vm1 does not end by a signal: it runs at there:1, which still pulls its memory/m],
    ['link-lost', /^postcopy: vm1 does not end by a signal: .* postcopy stop --force vm1 ends it$/m],
  ] as const)('is ended by no signal while it is %s, and says why not to each', async (state, why) => {
    const exit = vi.spyOn(process, 'exit').mockImplementation((() => {}) as never);
    exit.mockClear();
    vm.status = () => ({ ...STATUS, state, peer: 'there:1' });
    const code = host();
    await vi.waitFor(() => talk((client) => client.status()), READY);
    for (const signal of ['SIGHUP', 'SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT'] as const) {
      output.stderr = '';
      process.kill(process.pid, signal);
      await vi.waitFor(() => expect(output.stderr).toMatch(why));
    }
    expect(exit).not.toHaveBeenCalled();
    expect(vm.calls).not.toContain('stop');
    vm.end(STOPPED);
    expect(await code).toBe(0);
  });

  it('says so, too, when it was handed over in the instant of the first signal', async () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation((() => {}) as never);
    exit.mockClear();
    vm.stop = async () => {
      vm.status = () => ({ ...STATUS, state: 'handed-over', peer: 'there:1' });
      throw new PostcopyError('WRONG_STATE', 'it runs there');
    };
    const code = host();
    await vi.waitFor(() => talk((client) => client.status()), READY);
    process.kill(process.pid, 'SIGTERM');
    await vi.waitFor(() => expect(output.stderr).toMatch(/^postcopy: it runs there\. vm1 does not end by a signal/m));
    process.kill(process.pid, 'SIGTERM');
    await vi.waitFor(() => expect(output.stderr.match(/does not end by a signal/g)).toHaveLength(2));
    expect(exit).not.toHaveBeenCalled();
    vm.end(STOPPED);
    expect(await code).toBe(0);
  });

  it('survives a stop that fails', async () => {
    vm.refusal = new PostcopyError('WRONG_STATE', 'ending already');
    const code = host({
      started: () => {
        process.kill(process.pid, 'SIGTERM');
        setTimeout(() => vm.end(STOPPED), 50);
      },
    });
    expect(await code).toBe(0);
  });
});

describe('an error that nobody caught', () => {
  // Vitest has handlers of its own, which would take it for a failure of the test.
  const others = (event: 'uncaughtException'): NodeJS.UncaughtExceptionListener[] => process.listeners(event);

  function raise(error: Error): void {
    const ours = others('uncaughtException').at(-1)!;
    ours(error, 'uncaughtException');
  }

  it.each(['running', 'paused', 'migrating', 'handed-over', 'link-lost'] as const)(
    'while the VM is %s: it stays',
    async (state) => {
      vm.status = () => ({ ...STATUS, state });
      const code = host();
      await vi.waitFor(() => talk((client) => client.status()), READY);
      for (let i = 0; i < 50; i++) raise(new Error('a bug'));
      expect(output.stderr).toMatch(/^postcopy: internal error, the VM stays \(.*\): a bug/m);
      expect(output.stderr.match(/a bug/g)).toHaveLength(20);
      vm.end(STOPPED);
      expect(await code).toBe(0);
    },
  );

  it.each(['waiting', 'incoming', 'ending'] as const)(
    'while it is %s: the process ends, in good order',
    async (state) => {
      vm.status = () => ({ ...STATUS, state });
      const before = others('uncaughtException').length;
      const code = host();
      await vi.waitFor(() => talk((client) => client.status()), READY);
      raise(new Error('a bug'));
      await expect(code).rejects.toThrow('a bug');
      expect(others('uncaughtException')).toHaveLength(before);
    },
  );
});

describe('nothing is left behind', () => {
  it('when the VM cannot be built', async () => {
    const serial: SerialSetting = { kind: 'unix', path: join(directory, 'serial') };
    const start = async () => {
      expect(existsSync(serial.path)).toBe(true);
      throw new PostcopyError('BAD_KERNEL', 'k: is no kernel');
    };
    await expect(host({ serial, start })).rejects.toMatchObject({ code: 'BAD_KERNEL' });
    expect(output.stderr).toBe('');
  });

  it('when the serial port cannot be opened', async () => {
    const start = vi.fn();
    const serial: SerialSetting = { kind: 'file', path: join(directory, 'missing', 'log') };
    await expect(host({ serial, start })).rejects.toMatchObject({ code: 'BAD_CONFIG' });
    expect(start).not.toHaveBeenCalled();
  });

  it('when the name is in use, and the other one goes on', async () => {
    const first = host();
    await vi.waitFor(() => talk((client) => client.status()), READY);
    locks.taken.add(join(directory, 'run', 'vm1.lock'));
    await expect(host({ start: vi.fn() })).rejects.toMatchObject({ code: 'NAME_IN_USE' });
    expect((await talk((client) => client.status())).pid).toBe(STATUS.pid);
    vm.end(STOPPED);
    expect(await first).toBe(0);
  });
});

it('lets a second console read what came before, and ends both with the VM', async () => {
  const { socketPair, Collected } = await import('../console/socket-pair.js');
  const code = host({
    start: async ({ serial }) => {
      vm.onConsole = (stream) => serial.addConsole(stream);
      const sockets = mkdtempSync(join(tmpdir(), 'postcopy-port-'));
      const [port, guest] = await socketPair(sockets);
      rmSync(sockets, { recursive: true });
      serial.attach(port);
      guest.write('booted\n');
      return vm;
    },
  });
  const stream = await vi.waitFor(() => talk((client) => client.console()), READY);
  const seen = new Collected(stream);
  await seen.until((text) => text === 'booted\n');
  const late = new Collected(await talk((client) => client.console()));
  await late.until((text) => text === 'booted\n');
  vm.end(STOPPED);
  expect(await code).toBe(0);
  expect(await seen.untilClosed()).toBe('booted\n');
  expect(await late.untilClosed()).toBe('booted\n');
});
