/** A wrong argument is a TypeError or a RangeError and reaches no system call. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { native } from '../../src/native.js';

type Call = (...values: unknown[]) => unknown;
/** Calls that take anything: what TypeScript keeps out comes from JavaScript. */
const loose = (object: object, method: string): Call => {
  const call = (object as Record<string, unknown>)[method] as Call;
  return (...values) => call.apply(object, values);
};
const construct = (type: unknown): Call => {
  const Type = type as new (...values: unknown[]) => unknown;
  return (...values) => new Type(...values);
};

const NO_NUMBERS = [undefined, null, '1', {}, [], true, 1n];
const NO_COUNTS = [NaN, Infinity, -Infinity, -1, 0.5, 2 ** 53, 1e300];
const NO_BYTES = [
  undefined,
  null,
  [],
  [1],
  'abc',
  5,
  new ArrayBuffer(8),
  new Uint16Array(4),
  new DataView(new ArrayBuffer(8)),
];

/** Every value for the one argument; `call` puts it among right ones. */
function expectRefusals(
  values: unknown[],
  error: typeof TypeError | typeof RangeError,
  call: (value: unknown) => unknown,
) {
  for (const value of values) {
    expect(() => call(value), `${typeof value} ${Object.prototype.toString.call(value)}`).toThrow(error);
  }
}

function expectCount(call: (value: unknown) => unknown): void {
  expectRefusals(NO_NUMBERS, TypeError, call);
  expectRefusals(NO_COUNTS, RangeError, call);
}

function makeMemory() {
  const memory = new native.GuestMemory(4 * 4096, 'anonymous');
  onTestFinished(() => memory.close());
  return memory;
}

function makeSocket() {
  const socket = new native.Socket('listen', '127.0.0.1', 0);
  onTestFinished(() => socket.close());
  return socket;
}

describe('GuestMemory', () => {
  const create = construct(native.GuestMemory);

  it('takes whole pages and a backing', () => {
    expectCount((bytes) => create(bytes, 'anonymous'));
    expectRefusals([0, 1, 4095, 4097, 2 ** 44 + 4096], RangeError, (bytes) => create(bytes, 'anonymous'));
    expectRefusals([undefined, null, 1, {}], TypeError, (backing) => create(4096, backing));
    expectRefusals(['', 'hugetlbfs', 'Memfd'], RangeError, (backing) => create(4096, backing));
  });

  it('is made with new, and attached by a handle', () => {
    expect(() => (native.GuestMemory as unknown as Call)(4096, 'anonymous')).toThrow(TypeError);
    expectRefusals(NO_COUNTS, RangeError, (handle) => create(null, handle));
    expectRefusals([undefined, null, '1'], TypeError, (handle) => create(null, handle));
    expect(() => create(null, 0xffff_ffff)).toThrow('no such handle');
  });

  it('takes offsets, page numbers and bytes', () => {
    const memory = makeMemory();
    for (const method of ['read', 'write']) {
      expectCount((offset) => loose(memory, method)(offset, new Uint8Array(1)));
      expectRefusals(NO_BYTES, TypeError, (bytes) => loose(memory, method)(0, bytes));
    }
    for (const method of ['dataExtents', 'release', 'zeroRun', 'collapse']) {
      expectCount((first) => loose(memory, method)(first, 1));
      expectCount((count) => loose(memory, method)(0, count));
    }
  });

  it('does not work on something else', () => {
    expect(() => loose(native.GuestMemory.prototype as object, 'read').call({}, 0, new Uint8Array(1))).toThrow();
    const { read } = makeMemory();
    expect(() => (read as Call).call({}, 0, new Uint8Array(1))).toThrow();
  });
});

describe('Userfaultfd', () => {
  it('serves a GuestMemory', () => {
    expectRefusals([undefined, null, {}, 5, makeSocket()], TypeError, construct(native.Userfaultfd));
  });

  it('takes page numbers, a boolean and bytes', () => {
    const userfaultfd = new native.Userfaultfd(makeMemory());
    onTestFinished(() => userfaultfd.close());
    userfaultfd.register(0, 4, false);
    for (const method of ['unregister', 'zero', 'continue', 'wake']) {
      expectCount((first) => loose(userfaultfd, method)(first, 1));
      expectCount((count) => loose(userfaultfd, method)(0, count));
    }
    expectRefusals([undefined, null, 0, 'false'], TypeError, (minor) => loose(userfaultfd, 'register')(0, 4, minor));
    expectRefusals(NO_BYTES, TypeError, (bytes) => loose(userfaultfd, 'copy')(0, 1, bytes, 0));
    expectCount((offset) => loose(userfaultfd, 'copy')(0, 1, new Uint8Array(4096), offset));
    expectRefusals(NO_BYTES, TypeError, loose(userfaultfd, 'readFaults'));
    expectRefusals([new Int32Array(4), new Uint8Array(4)], TypeError, loose(userfaultfd, 'readFaults'));
  });
});

describe('Socket', () => {
  const create = construct(native.Socket);

  it('is told how to come about', () => {
    expectRefusals([undefined, 5, {}], TypeError, (how) => create(how, '127.0.0.1', 0));
    expectRefusals(['', 'bind'], RangeError, (how) => create(how, '127.0.0.1', 0));
    expectRefusals([undefined, null, 5], TypeError, (host) => create('listen', host, 0));
    expectCount((port) => create('listen', '127.0.0.1', port));
    expectRefusals([65536], RangeError, (port) => create('listen', '127.0.0.1', port));
    expectCount((timeoutMs) => create('connect', '127.0.0.1', 1, timeoutMs));
    expectCount((fd) => create('adopt', fd));
    expectRefusals([2 ** 31], RangeError, (fd) => create('adopt', fd));
  });

  it('takes bytes, places in them, and times', () => {
    const socket = makeSocket();
    const bytes = new Uint8Array(4);
    expectRefusals(NO_BYTES, TypeError, (from) => loose(socket, 'send')(from, 0, 0));
    expectCount((offset) => loose(socket, 'send')(bytes, offset, 1));
    expectCount((length) => loose(socket, 'send')(bytes, 0, length));
    expectRefusals(NO_BYTES, TypeError, (into) => loose(socket, 'receive')(into, 0, 0, 0, 0));
    expectCount((offset) => loose(socket, 'receive')(bytes, offset, 1, 1, 0));
    expectCount((minimum) => loose(socket, 'receive')(bytes, 0, minimum, 1, 0));
    expectCount((maximum) => loose(socket, 'receive')(bytes, 0, 0, maximum, 0));
    expectRefusals(NO_NUMBERS, TypeError, (timeoutMs) => loose(socket, 'receive')(bytes, 0, 1, 1, timeoutMs));
    expectRefusals([NaN, Infinity, -2, 2 ** 31], RangeError, (timeoutMs) =>
      loose(socket, 'receive')(bytes, 0, 1, 1, timeoutMs),
    );
  });

  it('takes options as numbers, and a name', () => {
    const socket = makeSocket();
    expectRefusals([undefined, null, 5], TypeError, loose(socket, 'configure'));
    for (const option of ['noDelay', 'sendBuffer', 'userTimeoutMs']) {
      expectRefusals([true, '1', null, {}], TypeError, (value) => loose(socket, 'configure')({ [option]: value }));
      expectRefusals([NaN, -1, 2 ** 31], RangeError, (value) => loose(socket, 'configure')({ [option]: value }));
    }
    expectRefusals([true, 5, null, {}], TypeError, (value) => loose(socket, 'configure')({ congestion: value }));
  });
});

describe('Tap', () => {
  it('takes names, bytes, and pieces of guest RAM', () => {
    const tap = new native.Tap('', '');
    onTestFinished(() => tap.close());
    const memory = makeMemory();
    const [header, none] = [new Uint8Array(12), new Float64Array(0)];
    expectRefusals([undefined, 5, {}], TypeError, (name) => construct(native.Tap)(name, ''));
    expectRefusals([undefined, 5, {}], TypeError, (bridge) => construct(native.Tap)('', bridge));
    expectRefusals([undefined, 1, 'yes'], TypeError, (on) => loose(tap, 'setOffloads')(true, true, true, on));
    expectRefusals([...NO_BYTES, native], TypeError, (from) => loose(tap, 'send')(from, header, none, 0));
    expectRefusals(NO_BYTES, TypeError, (bytes) => loose(tap, 'send')(memory, bytes, none, 0));
    expectRefusals([new Uint8Array(11)], RangeError, (bytes) => loose(tap, 'send')(memory, bytes, none, 0));
    expectRefusals(NO_BYTES, TypeError, (segments) => loose(tap, 'receive')(memory, segments, 0));
    expectCount((count) => loose(tap, 'receive')(memory, none, count));
    expectRefusals([1, 1024], RangeError, (count) => loose(tap, 'send')(memory, header, none, count));
    for (const value of [...NO_COUNTS, memory.bytes]) {
      const [offset, length] = [Float64Array.of(value, 1), Float64Array.of(1, value)];
      expectRefusals([offset, length], RangeError, (pair) => loose(tap, 'send')(memory, header, pair, 1));
      expectRefusals([offset, length], RangeError, (pair) => loose(tap, 'receive')(memory, pair, 1));
    }
    expectRefusals(NO_BYTES, TypeError, loose(tap, 'write'));
    expectCount(loose(tap, 'discard'));
  });
});

describe('functions', () => {
  it('take descriptors', () => {
    for (const name of ['signalEventFd', 'drainEventFd', 'closeFd']) expectCount(loose(native, name));
    for (const name of ['readFd', 'writeFd']) {
      expectCount((fd) => loose(native, name)(fd, new Uint8Array(1)));
      expectRefusals(NO_BYTES, TypeError, (bytes) => loose(native, name)(0, bytes));
    }
  });

  it('poll a set of at most 64', () => {
    const poll = loose(native, 'poll');
    expectRefusals([...NO_BYTES, new Uint32Array(3)], TypeError, (set) => poll(set, 1, 0));
    expectCount((count) => poll(new Int32Array(3), count, 0));
    expectRefusals([2, 65], RangeError, (count) => poll(new Int32Array(3), count, 0));
    expectRefusals([65], RangeError, (count) => poll(new Int32Array(300), count, 0));
    expectRefusals(NO_NUMBERS, TypeError, (timeoutMs) => poll(new Int32Array(3), 0, timeoutMs));
    expectRefusals([NaN, Infinity, -2, 2 ** 31], RangeError, (timeoutMs) => poll(new Int32Array(3), 0, timeoutMs));
  });

  it('take paths, names and niceness', () => {
    expectRefusals([undefined, null, 5], TypeError, loose(native, 'lockFile'));
    const setThread = loose(native, 'setThread');
    expectRefusals([undefined, null, 5, {}], TypeError, (name) => setThread(name, 0));
    expectRefusals(['sixteen-bytes-xx', '\u00e4'.repeat(8)], RangeError, (name) => setThread(name, 0));
    expectRefusals(NO_NUMBERS, TypeError, (nice) => setThread('of-a-test', nice));
    expectRefusals([NaN, Infinity, -21, 20, 0.5], RangeError, (nice) => setThread('of-a-test', nice));
    for (const name of ['kvmProbe', 'kvmSupportedCpuid', 'kvmMsrIndices', 'kvmFeatureMsrs']) {
      expectRefusals([null, 5, {}], TypeError, loose(native, name));
    }
    expectRefusals([null, 5, {}], TypeError, construct(native.Vm));
  });
});
