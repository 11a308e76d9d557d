import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { objectionsTo, tscObjections } from '../../../../../src/migrate/destination/checks/check-hello.js';
import { bootId } from '../../../../../src/host/boot-id.js';
import { kvmMachine } from '../../../../../src/machine/kvm-machine.js';
import { msrEntries } from '../../../machine/fake-vcpu.js';
import type { Hello } from '../../../../../src/migrate/wire/message.js';

/** struct kvm_cpuid_entry2 of leaf 0: the highest leaf, and the vendor in EBX, EDX, ECX. */
function vendorLeaf(vendor: string): Uint8Array {
  const entry = new Uint8Array(40);
  const text = Buffer.from(vendor, 'latin1');
  entry.set(text.subarray(0, 4), 16);
  entry.set(text.subarray(8, 12), 20);
  entry.set(text.subarray(4, 8), 24);
  return entry;
}

/** A host with eight vCPUs at most. */
const capabilities = vi.hoisted((): Record<string, number> => ({ maxVcpus: 8 }));
vi.mock('../../../../../src/native.js', async (importOriginal) => ({
  ...(await importOriginal<object>()),
  native: {
    kvmProbe: () => ({ apiVersion: 12, capabilities }),
    kvmSupportedCpuid: () => vendorLeaf('GenuineIntel'),
    kvmFeatureMsrs: () => msrEntries([0x10a, 1n]),
  },
}));

describe('tscObjections', () => {
  it.each([
    ['the same frequency', 2_000_000, 2_000_000],
    ['within what KVM tolerates, above', 2_000_500, 2_000_000],
    ['within what KVM tolerates, below', 1_999_500, 2_000_000],
    ['a guest that does not know its own', 0, 2_000_000],
    ['a host that does not know its own', 2_000_000, 0],
  ])('has none against %s', (_, guest, host) => {
    expect(tscObjections(guest, host, false)).toEqual([]);
  });

  it.each([2_000_501, 1_999_499, 3_000_000])('objects to %d kHz where only 2000000 can be had', (guest) => {
    expect(tscObjections(guest, 2_000_000, false)).toEqual([
      `its TSC runs at ${guest} kHz; this host's at 2000000 kHz, and its CPU cannot scale it`,
    ]);
  });

  it.each([1_000_000, 3_000_000])('has none against %d kHz where 2000000 can be scaled', (guest) => {
    expect(tscObjections(guest, 2_000_000, true)).toEqual([]);
  });

  it.each([
    ['has it', 1, true],
    ['lacks it', 0, false],
    ['does not know it', undefined, false],
  ])('asks KVM for TSC scaling: a host that %s', (_, tscControl, scales) => {
    if (tscControl === undefined) delete capabilities['tscControl'];
    else capabilities['tscControl'] = tscControl;
    expect(kvmMachine.scalesTsc()).toBe(scales);
  });
});

describe('objectionsTo', () => {
  const directory = mkdtempSync(join(tmpdir(), 'check-hello-'));
  const kernel = join(directory, 'kernel');
  const content = '\x7fELF of a kernel';
  writeFileSync(kernel, content);
  afterAll(() => rmSync(directory, { recursive: true }));

  const sha256 = createHash('sha256').update(content).digest('hex');
  const hello: Hello = {
    release: '0.1.0',
    name: 'vm',
    epoch: 1,
    machine: 'kvm',
    bootId: bootId(),
    memoryBytes: 64 * 2 ** 20,
    cpu: 'host',
    constantMsrs: new Uint8Array(0),
    cpuid: [vendorLeaf('GenuineIntel')],
    tscKhz: 0,
    xsaveBytes: 4096,
    files: [{ role: 'kernel', path: kernel, bytes: content.length, sha256 }],
    cmdline: '',
    reboot: true,
    devices: [],
    bulkChannels: 1,
    prefetch: 'in-order',
    features: [],
    paused: false,
    mode: 'post-copy',
  };
  const withFile = (change: Partial<Hello['files'][number]>): Hello => ({
    ...hello,
    files: [{ ...hello.files[0]!, ...change }],
  });

  it('has none against a VM that fits', async () => {
    expect(await objectionsTo(hello, 'kvm')).toEqual([]);
  });

  it.each([0, 4096, 64 * 2 ** 20 + 1])('objects to %d bytes of RAM', async (memoryBytes) => {
    expect(await objectionsTo({ ...hello, memoryBytes, files: [] }, 'kvm')).toEqual([
      `${memoryBytes} bytes of RAM are no possible size`,
    ]);
  });

  it('objects to more vCPUs than KVM gives', async () => {
    const cpuid = (vcpus: number) => new Array<Uint8Array>(vcpus).fill(vendorLeaf('GenuineIntel'));
    expect(await objectionsTo({ ...hello, cpuid: cpuid(8) }, 'kvm')).toEqual([]);
    expect(await objectionsTo({ ...hello, cpuid: cpuid(9) }, 'kvm')).toEqual(['it has 9 vCPUs; this host can give 8']);
  });

  it('objects to another CPU', async () => {
    const cpuid = [vendorLeaf('AuthenticAMD')];
    expect(await objectionsTo({ ...hello, cpuid }, 'kvm')).toEqual([
      expect.stringMatching(/^this host's CPU lacks .*AuthenticAMD/),
    ]);
  });

  it('objects to a guest that was told that the CPU has a flaw less', async () => {
    expect(await objectionsTo({ ...hello, constantMsrs: msrEntries([0x10a, 1n]) }, 'kvm')).toEqual([]);
    expect(await objectionsTo({ ...hello, constantMsrs: msrEntries([0x10a, 0x21n]) }, 'kvm')).toEqual([
      expect.stringContaining('lacks MDS_NO'),
    ]);
  });

  it.each(['pre-copy', 'hybrid'])(
    'has none against %s of a source that offers rounds, and one otherwise',
    async (mode) => {
      expect(await objectionsTo({ ...hello, mode, features: ['rounds', 'more'] }, 'kvm')).toEqual([]);
      expect(await objectionsTo({ ...hello, mode, features: ['more'] }, 'kvm')).toEqual([
        expect.stringContaining(`it is to move by ${mode}, and its source does not offer`),
      ]);
    },
  );

  it('objects to a mode of a later release', async () => {
    expect(await objectionsTo({ ...hello, mode: 'telepathy', features: ['rounds'] }, 'kvm')).toEqual([
      'it is to move by telepathy, which this release does not know: move it by post-copy, or upgrade this host',
    ]);
  });

  it('gives every reason at once', async () => {
    const bad = { ...withFile({ path: '/nowhere' }), memoryBytes: 1 };
    expect(await objectionsTo(bad, 'kvm')).toEqual([
      expect.stringContaining('no possible size'),
      expect.stringContaining('/nowhere'),
    ]);
  });

  it.each(['kvm', 'threads'] as const)('has one reason against a machine of another kind than %s', async (machine) => {
    const theirs = machine === 'kvm' ? 'threads' : 'kvm';
    const bad = { ...withFile({ path: '/nowhere' }), memoryBytes: 1, bootId: 'another', machine: theirs } as const;
    expect(await objectionsTo(bad, machine)).toEqual([
      `it is a machine of ${theirs}, and one of ${machine} is waited for here: wait for one of ${theirs}`,
    ]);
  });

  describe('for a machine of threads', () => {
    const threads = (vcpus: number): Hello => ({
      ...hello,
      machine: 'threads',
      cpuid: new Array<Uint8Array>(vcpus).fill(new Uint8Array(0)),
    });

    it('has none against one of this boot, of more vCPUs than KVM gives', async () => {
      expect(await objectionsTo(threads(64), 'threads')).toEqual([]);
    });

    it('objects to more vCPUs than a process runs', async () => {
      expect(await objectionsTo(threads(65), 'threads')).toEqual(['it has 65 vCPUs; this host can give 64']);
    });

    it('objects to one of another boot, which a machine of KVM may be', async () => {
      const elsewhere = { bootId: '00000000-0000-4000-8000-000000000000' };
      expect(await objectionsTo({ ...threads(1), ...elsewhere }, 'threads')).toEqual([
        'it is on another host: a machine of threads moves within one',
      ]);
      expect(await objectionsTo({ ...hello, ...elsewhere }, 'kvm')).toEqual([]);
    });

    it('objects to its RAM and its files as to those of any', async () => {
      const bad = { ...withFile({ path: '/nowhere' }), ...{ machine: 'threads' as const, memoryBytes: 1 } };
      expect(await objectionsTo(bad, 'threads')).toEqual([
        expect.stringContaining('no possible size'),
        expect.stringContaining('/nowhere'),
      ]);
    });
  });
});
