import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadVmConfig } from '../../../src/configure/config-file.js';
import { PostcopyError } from '../../../src/errors.js';

const MIB = 1024 * 1024;
let directory: string;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'postcopy-config-'))));
afterEach(() => rmSync(directory, { recursive: true }));

function file(content: unknown): string {
  const path = join(directory, 'vm.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

function problems(config: string | undefined, flags: Record<string, unknown>): string[] {
  try {
    loadVmConfig(config, flags);
  } catch (error) {
    expect(error).toBeInstanceOf(PostcopyError);
    expect(error).toMatchObject({ code: 'BAD_CONFIG' });
    return (error as Error).message.split('\n');
  }
  throw new Error('nothing was thrown');
}

const least = { name: 'vm1', kernel: 'vmlinuz' };

describe('flags alone', () => {
  it('gives defaults to what is not said', () => {
    expect(loadVmConfig(undefined, { ...least, initrd: undefined })).toEqual({
      name: 'vm1',
      machine: 'kvm',
      kernel: 'vmlinuz',
      cmdline: '',
      memoryBytes: 1024 * MIB,
      cpu: 'host',
      cpus: 2,
      serial: { kind: 'stdio' },
      console: { kind: 'null' },
      disks: [],
      nets: [],
      reboot: true,
    });
  });

  it('takes everything', () => {
    const flags = {
      ...least,
      initrd: 'i',
      cmdline: 'a=b c',
      memory: '64M',
      cpu: 'x86-64-v3',
      cpus: '16',
      serial: 'file:log',
      console: 'unix:hvc0',
      disks: ['path=/a'],
      reboot: false,
    };
    expect(loadVmConfig(undefined, flags)).toEqual({
      name: 'vm1',
      machine: 'kvm',
      kernel: 'vmlinuz',
      initrd: 'i',
      cmdline: 'a=b c',
      memoryBytes: 64 * MIB,
      cpu: 'x86-64-v3',
      cpus: 16,
      serial: { kind: 'file', path: resolve('log') },
      console: { kind: 'unix', path: resolve('hvc0') },
      disks: [{ id: 'disk0', path: '/a', readonly: false }],
      nets: [],
      reboot: false,
    });
  });

  it.each([
    [{ memory: '63M' }, 'memory: 63 MiB is too little: a guest needs 64 MiB'],
    [{ memory: '100T' }, 'memory: 100 TiB is too much: the limit is 8 TiB'],
    [{ memory: '65537K' }, 'memory: must be a whole number of MiB'],
    [{ memory: '1' }, "memory: '1' is no size: give a number with K, M, G or T, like 512M"],
    [{ memory: 1024 }, 'memory: must be a size in quotes, like "1G"'],
    [{ cpus: '0' }, 'cpus: must be a number from 1 to 64'],
    [{ cpus: '65' }, 'cpus: must be a number from 1 to 64'],
    [{ cpus: 65, machine: 'threads' }, 'cpus: must be a number from 1 to 64'],
    [{ cpus: 17 }, 'cpus: must be a number from 1 to 16'],
    [{ cpus: '17', machine: 'kvm' }, 'cpus: must be a number from 1 to 16'],
    [{ machine: 'qemu' }, 'machine: must be one of kvm, threads'],
    [{ machine: null }, 'machine: must be one of kvm, threads'],
    [{ cpus: 1.5 }, 'cpus: must be a number from 1 to 64'],
    [{ cpus: '2x' }, 'cpus: must be a number from 1 to 64'],
    [{ cpus: null }, 'cpus: must be a number from 1 to 64'],
    [{ name: '../x' }, /^name: use 1 to 64 letters/],
    [{ cpu: 'x86-64-v5' }, 'cpu: must be one of host, x86-64-v2, x86-64-v3, x86-64-v4'],
    [{ machine: 'threads', cpu: 'x86-64-v2' }, "cpu: a machine of threads has the host's CPU: leave it out"],
    [{ kernel: '' }, 'kernel: is no path'],
    [{ kernel: undefined }, 'kernel: give the kernel to boot'],
    [{ initrd: 'a\0' }, 'initrd: is no path'],
    [{ serial: 'tty' }, /^serial: 'tty' is no serial port setting/],
    [{ serial: 1 }, 'serial: must be text'],
    [{ console: 'tty' }, /^console: 'tty' is no serial port setting/],
    [{ serial: 'stdio', console: 'stdio' }, 'console: stdio is the serial port already: only one of them can have it'],
    [{ disks: ['x'] }, /^disks\.0: 'x' is no disk setting/],
    [{ disks: [{ path: '/a', size: 1 }] }, 'disks.0.size: there is no such setting'],
    [{ disks: 'path=/a' }, 'disks: must be a list'],
    [{ reboot: 'no' }, 'reboot: must be true or false'],
    [{ disk: 'x' }, 'disk: there is no such setting'],
  ])('%j is one problem', (change, line) => {
    const found = problems(undefined, { ...least, ...change });
    expect(found).toEqual([typeof line === 'string' ? line : expect.stringMatching(line)]);
  });

  it.each([1, '17', 64, '64'])('takes %j vCPUs that are threads', (cpus) => {
    const config = loadVmConfig(undefined, { ...least, machine: 'threads', cpus });
    expect(config).toMatchObject({ machine: 'threads', cpus: Number(cpus) });
  });

  it('tells all problems at once', () => {
    expect(problems(undefined, { memory: '1', cpus: '99', disk: 1 })).toHaveLength(5);
  });
});

describe('consoles that were not said', () => {
  const consoles = (flags: object, background: boolean) => {
    const { serial, console } = loadVmConfig(undefined, { ...least, ...flags }, background);
    return `${serial.kind} ${console.kind}`;
  };

  it('leave the terminal to the one that was given it', () => {
    expect(consoles({ console: 'stdio' }, false)).toBe('null stdio');
    expect(consoles({ console: 'null' }, false)).toBe('stdio null');
  });

  it('go nowhere in the background, where there is no terminal', () => {
    expect(consoles({}, true)).toBe('null null');
    expect(consoles({ serial: 'unix:s' }, true)).toBe('unix null');
    expect(() => consoles({ serial: 'stdio' }, true)).toThrow('serial: a process in the background has no terminal');
    expect(() => consoles({ console: 'stdio' }, true)).toThrow('console: a process in the background has no terminal');
  });
});

describe('with a file', () => {
  it('puts flags over it, and reads its paths from where it is', () => {
    const config = file({
      $schema: 'vm-settings.schema.json',
      name: 'a',
      kernel: 'boot/k',
      initrd: '/i',
      memory: '2G',
      cpu: 'x86-64-v2',
      cpus: 4,
      serial: 'unix:s',
      console: 'file:c',
      disks: ['path=d0', { path: 'd1', readonly: true }],
      reboot: false,
    });
    expect(loadVmConfig(config, { name: 'b', cpus: '1', kernel: undefined, reboot: undefined })).toEqual({
      name: 'b',
      machine: 'kvm',
      kernel: join(directory, 'boot/k'),
      initrd: '/i',
      cmdline: '',
      memoryBytes: 2048 * MIB,
      cpu: 'x86-64-v2',
      cpus: 1,
      serial: { kind: 'unix', path: join(directory, 's') },
      console: { kind: 'file', path: join(directory, 'c') },
      disks: [
        { id: 'disk0', path: join(directory, 'd0'), readonly: false },
        { id: 'disk1', path: join(directory, 'd1'), readonly: true },
      ],
      nets: [],
      reboot: false,
    });
  });

  it('puts the disks of flags in place of its own', () => {
    const config = file({ ...least, disks: ['path=/a', 'path=/b'] });
    const { disks } = loadVmConfig(config, { disks: ['path=c,id=x'] });
    expect(disks).toEqual([{ id: 'x', path: resolve('c'), readonly: false }]);
  });

  it('names the file in every problem', () => {
    const config = file({ name: 'a', kernle: 'k' });
    expect(problems(config, {})).toEqual([
      `${config}: kernel: give the kernel to boot`,
      `${config}: kernle: there is no such setting`,
    ]);
  });

  it.each([
    ['{', 'is not JSON'],
    ['[]', 'must be a JSON object'],
    ['null', 'must be a JSON object'],
    ['"x"', 'must be a JSON object'],
  ])('refuses %s', (text, why) => expect(problems(file(text), least)[0]).toContain(why));

  it('is read to 1 MiB at most: a device may never end', () => {
    expect(() => loadVmConfig('/dev/zero', least)).toThrow('/dev/zero: is larger than a configuration file can be');
  });

  it('says when it cannot be read', () => {
    const path = join(directory, 'missing.json');
    expect(() => loadVmConfig(path, least)).toThrow(`${path}: the configuration file cannot be read`);
  });
});
