import { describe, expect, it, onTestFinished } from 'vitest';
import { runCommand } from '../../src/bench/run-command.js';
import { native, POLLERR } from '../../src/native.js';
import {
  details,
  freshName,
  HEADER_BYTES,
  interfaceExists,
  isOurs,
  makeBridge,
  makePersistentTap,
  openTap,
  ourFrame,
  receiveFrame,
} from './host-bridge.js';
import { isTcp, TCP_HEADERS, tcpFrame } from './tcp-frame.js';
import { next, runNode, startWorker } from './threads.js';

/** Any user may open /dev/net/tun, as udev makes it: hosts without udev let root alone. */
const WITH_PUBLIC_TUN = [
  ...['unshare', '-m', 'sh', '-ec'],
  'mount -t tmpfs none /mnt; mknod -m 666 /mnt/tun c 10 200; mount --bind /mnt/tun /dev/net/tun; exec "$@"',
  'sh',
];
const EMPTY_HEADER = new Uint8Array(HEADER_BYTES);

function makeMemory(bytes = 0x40000) {
  const memory = new native.GuestMemory(bytes, 'anonymous');
  onTestFinished(() => memory.close());
  return memory;
}

/** Two TAP devices in one bridge. */
function pair() {
  const bridge = makeBridge();
  return { bridge, a: openTap(freshName(), bridge), b: openTap(freshName(), bridge), memory: makeMemory() };
}

describe('a TAP device', () => {
  it('is there and up while it is open', () => {
    const name = freshName();
    const tap = openTap(name);
    expect(tap.name).toBe(name);
    expect(details(name)['flags']).toContain('UP');
    tap.close();
    expect(interfaceExists(name)).toBe(false);
    expect(() => tap.fd).toThrow('used after close()');
  });

  it('is named by the kernel if it has no name', () => {
    const [one, two] = [openTap(''), openTap('')];
    expect(one.name).toMatch(/^postcopy\d+$/);
    expect(two.name).toMatch(/^postcopy\d+$/);
    expect(two.name).not.toBe(one.name);
  });

  it('that was there before stays', () => {
    const name = makePersistentTap();
    const tap = openTap(name);
    tap.close();
    expect(interfaceExists(name)).toBe(true);
    openTap(name).close();
  });

  it('joins a bridge that keeps its MTU and MAC address', () => {
    const bridge = makeBridge();
    runCommand('ip', 'link', 'set', bridge, 'mtu', '9000');
    const tap = openTap(freshName(), bridge);
    expect(details(tap.name)).toMatchObject({ master: bridge, mtu: 9000, address: expect.stringMatching(/^fe:/) });
    expect(details(bridge)['mtu']).toBe(9000);
  });

  it('may be in its bridge already', () => {
    const [name, bridge] = [makePersistentTap(), makeBridge()];
    runCommand('ip', 'link', 'set', name, 'master', bridge);
    openTap(name, bridge);
    expect(details(name)['master']).toBe(bridge);
  });

  it('that an administrator has prepared is any user’s to use, as it is', async () => {
    const [name, bridge] = [makePersistentTap('user', '65534'), makeBridge()];
    runCommand('ip', 'link', 'set', name, 'master', bridge, 'up');
    const asNobody = (bridges: string) =>
      runNode(
        `process.setgid(65534); process.setuid(65534);
        const open = (bridge) => { try { return new native.Tap('${name}', bridge).close() } catch (error) { return error.syscall + ' ' + error.code } };
        console.log(...[${bridges}].map(open));`,
        [],
        WITH_PUBLIC_TUN,
      );
    expect(await asNobody(`'${bridge}', '', 'lo'`)).toMatchObject({
      stdout: 'undefined undefined SIOCBRADDIF EPERM\n',
    });
    runCommand('ip', 'link', 'set', name, 'down');
    expect(await asNobody(`'${bridge}'`)).toMatchObject({ stdout: 'SIOCSIFFLAGS EPERM\n' });
  });

  it('is shared with other threads, and outlives them', async () => {
    const { a, b, memory } = pair();
    const worker = startWorker(
      `const tap = new native.Tap(null, data.handle); post(tap.write(data.frame)); tap.detach(); post('done');`,
      { handle: a.handle, frame: ourFrame(1, 7) },
    );
    expect(await next(worker)).toBe(HEADER_BYTES + 15);
    expect([...receiveFrame(b, memory)]).toEqual([...ourFrame(1, 7)]);
    await worker.terminate();
    expect(a.write(ourFrame(1))).toBeGreaterThan(0);
  });

  it('goes away with its process', async () => {
    const name = freshName();
    expect(await runNode(`new native.Tap('${name}', ''); process.kill(process.pid, 'SIGKILL');`)).toMatchObject({
      signal: 'SIGKILL',
    });
    expect(interfaceExists(name)).toBe(false);
  });
});

describe('opening fails', () => {
  const failure = (name: string, bridge = '') => {
    try {
      openTap(name, bridge);
    } catch (error) {
      const { syscall, code } = error as NodeJS.ErrnoException;
      return `${syscall} ${code}`;
    }
    return 'opened';
  };

  it('for a name in use', () => {
    const name = freshName();
    openTap(name);
    expect(failure(name)).toBe('TUNSETIFF EBUSY');
  });

  it('for an interface that is no TAP device', () => {
    expect(failure('lo')).toBe('TUNSETIFF EINVAL');
  });

  it('for a bridge that is none, with nothing left', () => {
    const name = freshName();
    expect(failure(name, freshName())).toBe('SIOCBRADDIF ENODEV');
    expect(failure(name, makePersistentTap())).toBe('SIOCBRADDIF EOPNOTSUPP');
    expect(interfaceExists(name)).toBe(false);
  });

  it('for one in another bridge', () => {
    const name = makePersistentTap();
    runCommand('ip', 'link', 'set', name, 'master', makeBridge());
    expect(failure(name, makeBridge())).toBe('SIOCBRADDIF EBUSY');
  });

  it.each(['a'.repeat(16), 'tap%d', 'a/b', 'a\0b'])('for the name %j', (name) => {
    expect(() => openTap(name)).toThrow(RangeError);
    expect(() => openTap(freshName(), name)).toThrow(RangeError);
  });
});

describe('frames', () => {
  it('go from guest memory and into it, in any pieces', () => {
    const { a, b, memory } = pair();
    const frame = ourFrame(1, ...Array.from({ length: 1000 }, (_, i) => i & 0xff));
    memory.write(0x10000, frame.subarray(HEADER_BYTES, 100));
    memory.write(0x20001, frame.subarray(100));
    const pieces = Float64Array.of(0x10000, 100 - HEADER_BYTES, 0x20001, frame.length - 100);
    expect(a.send(memory, EMPTY_HEADER, pieces, 2)).toBe(frame.length);

    // Ours is not the only frame on a new bridge.
    let got: number;
    const into = Float64Array.of(5, 7, 100, 0, 0x3001, 1, 0x3f000, 0x1000);
    const read = (offset: number, length: number) => {
      const bytes = new Uint8Array(length);
      memory.read(offset, bytes);
      return bytes;
    };
    let received: Uint8Array;
    do {
      got = b.receive(memory, into, 4);
      received = Uint8Array.of(...read(5, 7), ...read(0x3001, 1), ...read(0x3f000, Math.max(0, got - 8)));
    } while (!isOurs(received));
    expect(got).toBe(frame.length);
    expect([...received]).toEqual([...frame]);
  });

  it('that do not fit tell how long they were, and are gone', () => {
    const { a, b, memory } = pair();
    a.write(ourFrame(1, 1, 2, 3, 4));
    a.write(ourFrame(1, 5));
    const lengths: number[] = [];
    while (!lengths.includes(HEADER_BYTES + 18)) lengths.push(b.receive(memory, Float64Array.of(0, 20), 1));
    expect(receiveFrame(b, memory)[HEADER_BYTES + 14]).toBe(5);
  });

  it('are none of ours when there is none', () => {
    const tap = openTap();
    runCommand('ip', 'link', 'set', tap.name, 'down');
    tap.discard(1000);
    expect(tap.receive(makeMemory(), Float64Array.of(0, 4096), 1)).toBe(-1);
    expect(tap.discard(1000)).toBe(0);
  });

  it('are thrown away', () => {
    const { a, b, memory } = pair();
    for (let i = 0; i < 5; i++) a.write(ourFrame(1, i));
    expect(b.discard(2)).toBe(2);
    expect(b.discard(1000)).toBeGreaterThanOrEqual(3);
    expect(b.receive(memory, Float64Array.of(0, 4096), 1)).toBe(-1);
  });

  it.each<[string, (header: DataView) => void, number]>([
    ['is too short', () => {}, 13],
    ['is empty', () => {}, 0],
    ['has a checksum outside', (header) => (header.setUint8(0, 1), header.setUint16(6, 60000, true)), 60],
    ['has an unknown kind of segmentation', (header) => header.setUint8(1, 0x55), 60],
    ['has segments of no bytes', (header) => (header.setUint8(0, 1), header.setUint8(1, 1)), 60],
    ['has a header longer than it is', (header) => header.setUint16(2, 200, true), 60],
  ])('are dropped if one %s', (_, spoil, length) => {
    const { a, b, memory } = pair();
    const header = new Uint8Array(HEADER_BYTES);
    spoil(new DataView(header.buffer));
    expect(a.send(memory, header, Float64Array.of(0, length), 1)).toBe(0);
    a.write(ourFrame(1, 9));
    expect(receiveFrame(b, memory)[HEADER_BYTES + 14]).toBe(9);
  });

  it('have nowhere to go while the interface is down', () => {
    const tap = openTap();
    runCommand('ip', 'link', 'set', tap.name, 'down');
    expect(tap.write(ourFrame(1))).toBe(0);
  });

  it('end with the device', () => {
    const tap = openTap();
    runCommand('ip', 'link', 'delete', tap.name);
    expect(tap.write(ourFrame(1))).toBe(0);
    expect(tap.receive(makeMemory(), Float64Array.of(0, 4096), 1)).toBe(-2);
    const set = Int32Array.of(tap.fd, 0, 0);
    native.poll(set, 1, 0);
    expect(set[2]! & POLLERR).toBe(POLLERR);
    expect(() => tap.setOffloads(true, true, true, true)).toThrow(expect.objectContaining({ code: 'EBADFD' }));
  });
});

describe('offloads', () => {
  it('let large frames through whole', () => {
    const { a, b, memory } = pair();
    b.setOffloads(true, true, true, true);
    const frame = tcpFrame(40_000, 1000);
    expect(a.write(frame)).toBe(frame.length);
    const received = receiveFrame(b, memory, isTcp);
    expect(received.length).toBe(frame.length);
    expect(new DataView(received.buffer).getUint16(4, true)).toBe(1000);
    expect(received[1]! & 0x7f).toBe(1);
  });

  it('are not asked of a guest that has none', () => {
    const { a, b, memory } = pair();
    a.write(tcpFrame(2500, 1000));
    const lengths = [0, 1, 2].map(() => {
      const segment = receiveFrame(b, memory, isTcp);
      expect([segment[0]! & 1, segment[1]]).toEqual([0, 0]);
      return segment.length - HEADER_BYTES - TCP_HEADERS;
    });
    expect(lengths).toEqual([1000, 1000, 500]);
  });
});
