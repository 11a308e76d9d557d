/**
 * The addon, called with anything: what a guest or a peer says ends up in its arguments. A wrong call throws; one that crashed
 * would end the process of this test, which is reported, and scripts/fuzz repeats it by its seed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { native, type NativeDisk, type NativeMemory, type NativeTap, type Socket } from '../../src/native.js';
import { fuzz, FUZZ_TIMEOUT_MS } from '../unit/fuzz/fuzz.js';
import { createThreadVm } from './thread-vm.js';

const PAGES = 16;
const PAGE_BYTES = 4096;
const RAM_BYTES = PAGES * PAGE_BYTES;
const DISK_BYTES = 8 * PAGE_BYTES;

const edge = fc.constantFrom(0, 1, 4095, 4096, 4097, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53);
const count = fc.oneof({ weight: 6, arbitrary: fc.nat(20) }, { weight: 2, arbitrary: fc.nat(RAM_BYTES) }, edge);
const wild = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, -1, 0.5, NaN, Infinity, '1', 1n, {}, true),
  fc.anything(),
);
const words = fc.array(count.map(Number), { maxLength: 12 });

/** By letter: number, bytes, 32-bit words, signed ones, doubles, a flag, and 0 ms of patience. */
const ARGUMENTS = {
  n: count,
  b: fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(new Uint8Array(2 * PAGE_BYTES), new Uint8Array(0))),
  w: words.map((all) => Uint32Array.from(all)),
  i: words.map((all) => Int32Array.from(all)),
  f: words.map((all) => Float64Array.from(all)),
  t: fc.boolean(),
  z: fc.constant(0),
} as const;

type Methods = Record<string, string>;

/** A method, with arguments of the right kinds but for one now and then. */
function calls(
  methods: Methods,
  special: Record<string, unknown> = {},
): fc.Arbitrary<[method: string, values: unknown[]]> {
  return fc.oneof(
    ...Object.entries(methods).map(([method, letters]) => {
      const values = [...letters].map((letter) =>
        letter in special
          ? fc.constant(special[letter])
          : fc.oneof(
              { weight: 20, arbitrary: ARGUMENTS[letter as keyof typeof ARGUMENTS] as fc.Arbitrary<unknown> },
              wild,
            ),
      );
      return fc.tuple(...values).map((all): [string, unknown[]] => [method, all]);
    }),
  );
}

/** Calls it; what it throws is for a wrong argument, or a system call's. */
function call(object: object, [method, values]: [string, unknown[]]): void {
  try {
    ((object as Record<string, unknown>)[method] as (...all: unknown[]) => unknown).apply(object, values);
  } catch (error) {
    const isOurs = error instanceof TypeError || error instanceof RangeError;
    if (!isOurs && typeof (error as NodeJS.ErrnoException).code !== 'string') throw error;
  }
}

let memory: NativeMemory;
beforeAll(() => (memory = new native.GuestMemory(RAM_BYTES, 'anonymous')));
afterAll(() => memory.close());

describe('the addon', { timeout: FUZZ_TIMEOUT_MS }, () => {
  it('guest memory', () => {
    const methods = {
      read: 'nb',
      write: 'nb',
      dataExtents: 'nn',
      dataExtentsOutside: 'w',
      release: 'nn',
      zeroRun: 'nn',
    };
    fuzz(
      fc.property(calls(methods), (each) => {
        call(memory, each);
        memory.write(0, Uint8Array.of(7));
        const back = new Uint8Array(1);
        memory.read(0, back);
        expect(back[0]).toBe(7);
      }),
    );
  });

  it('a userfaultfd', () => {
    const ram = new native.GuestMemory(RAM_BYTES, 'anonymous');
    const userfaultfd = new native.Userfaultfd(ram);
    const methods = {
      ...{ register: 'nnt', unregister: 'nn', readFaults: 'w', copy: 'nnbn', zero: 'nn', continue: 'nn', wake: 'nn' },
    };
    fuzz(fc.property(calls(methods), (each) => call(userfaultfd, each)));
    userfaultfd.close();
    ram.close();
  });

  it('a disk', () => {
    const directory = mkdtempSync(join(tmpdir(), 'postcopy-fuzz-disk-'));
    writeFileSync(join(directory, 'disk'), new Uint8Array(DISK_BYTES));
    const disk: NativeDisk = new native.Disk(join(directory, 'disk'), false);
    const methods = { submit: 'nnmfnnn', completions: 'i', waitIdle: 'z', sampleAt: 'fn', ended: 'nnz' };
    fuzz(
      fc.property(fc.array(calls(methods, { m: memory }), { minLength: 1, maxLength: 6 }), (all) => {
        for (const each of all) call(disk, each);
        expect(disk.waitIdle(60_000)).toBe(true);
        while (disk.completions(new Int32Array(64)) > 0);
      }),
    );
    expect(disk.close(60_000)).toBe(true);
    rmSync(directory, { recursive: true });
  });

  it('a socket', () => {
    const [ours, theirs] = native.socketPair();
    const socket: Socket = new native.Socket('adopt', ours);
    const sink = new Uint8Array(256 * 1024);
    const methods = { send: 'bnn', trySendPages: 'mbnwnn', receive: 'bnznz', configure: 'o' };
    fuzz(
      fc.property(calls(methods, { m: memory, o: { noDelay: 1 } }), fc.uint8Array({ maxLength: 20 }), (each, sent) => {
        native.writeFd(theirs, sent);
        call(socket, each);
        while (native.readFd(theirs, sink) > 0);
        while (socket.receive(sink, 0, 0, sink.length, 0) > 0);
      }),
    );
    socket.close();
    native.closeFd(theirs);
  });

  it('a TAP device, with any frame and any header', () => {
    const tap: NativeTap = new native.Tap('', '');
    const methods = { send: 'mhfn', receive: 'mfn', write: 'b', discard: 'n', setOffloads: 'tttt' };
    const header = new Uint8Array(12);
    const content = fc.uint8Array({ minLength: 12, maxLength: 12 });
    fuzz(
      fc.property(content, calls(methods, { m: memory, h: header }), (bytes, each) => {
        header.set(bytes);
        call(tap, each);
      }),
    );
    tap.close();
  });

  it('a machine of threads: its vCPUs, its queue of exits, its serial port', () => {
    const { vm, vcpus, exits } = createThreadVm([0xeb, 0xfe], 2);
    const onVm = {
      raiseVirtio: 'nn',
      setVirtioInterrupts: 'nn',
      getVirtioInterrupts: 'n',
      showSerial: 'nnnnnn',
    };
    const target = fc.oneof(
      calls(onVm).map((each) => [vm, each] as const),
      calls({ take: 'b', complete: 'nnn' }).map((each) => [exits, each] as const),
      fc
        .tuple(fc.constantFrom('regs', 'xsave', 'lapic', ''), ARGUMENTS.b)
        .map(([name, bytes]) => [vcpus[1]!, ['setState', [name, bytes]] as [string, unknown[]]] as const),
    );
    fuzz(fc.property(target, ([object, each]) => call(object, each)));
    vm.hideSerial();
  });
});
