import { describe, expect, it, onTestFinished } from 'vitest';
import { native, POLLIN, POLLOUT, type NativeMemory, type Socket } from '../../src/native.js';
import { connected } from './connected.js';
import { next, PATIENCE_MS, readable, startWorker } from './threads.js';

const PAGE = 4096;

const send = (socket: Socket, ...bytes: number[]) => socket.send(Uint8Array.from(bytes), 0, bytes.length);

/** As many as come in one call. */
function receive(socket: Socket, minimum: number, maximum = minimum, timeoutMs = PATIENCE_MS): number[] {
  const into = new Uint8Array(maximum);
  return [...into.subarray(0, socket.receive(into, 0, minimum, maximum, timeoutMs))];
}

describe('Socket', () => {
  it('connects, and says where it is', async () => {
    const { client, server, listener } = await connected();
    expect(client.peer).toBe(`127.0.0.1:${listener.port}`);
    expect(server.peer).toBe(`127.0.0.1:${client.port}`);
    expect(server.port).toBe(listener.port);
    expect(listener.accept()).toBe(-1);
  });

  it('says an IPv6 address as it can be given to a command', () => {
    const listener = new native.Socket('listen', '::1', 0);
    const client = new native.Socket('connect', '::1', listener.port, PATIENCE_MS);
    expect(client.peer).toBe(`[::1]:${listener.port}`);
    listener.close();
    client.close();
  });

  it('sends a part of an array, and receives into a part of one', async () => {
    const { client, server } = await connected();
    client.send(Uint8Array.of(1, 2, 3, 4, 5), 1, 3);
    client.send(Uint8Array.of(1), 1, 0);
    const into = new Uint8Array(8).fill(9);
    expect(server.receive(into, 2, 3, 5, PATIENCE_MS)).toBe(3);
    expect([...into]).toEqual([9, 9, 2, 3, 4, 9, 9, 9]);
  });

  it('takes what is there, up to the maximum, and leaves the rest', async () => {
    const { client, server } = await connected();
    expect(server.receive(new Uint8Array(10), 0, 0, 10, 0)).toBe(-1);
    send(client, 1, 2, 3, 4);
    await readable(server.fd);
    expect(receive(server, 0, 3)).toEqual([1, 2, 3]);
    expect(receive(server, 1, 3)).toEqual([4]);
  });

  it('waits for the minimum, in whatever pieces it comes', async () => {
    const { client, server } = await connected();
    const worker = startWorker(
      `const socket = new native.Socket(null, data);
       const into = new Uint8Array(6);
       post('ready');
       post([socket.receive(into, 0, 6, 6, -1), ...into]);`,
      server.handle,
    );
    expect(await next(worker)).toBe('ready');
    const answer = next(worker);
    for (const byte of [1, 2, 3, 4, 5, 6]) {
      send(client, byte);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(await answer).toEqual([6, 1, 2, 3, 4, 5, 6]);
  });

  it('waits no longer than it was told', async () => {
    const { server } = await connected();
    const timeout = expect.objectContaining({ code: 'ETIMEDOUT', syscall: 'recv' });
    expect(() => receive(server, 1, 1, 20)).toThrow(timeout);
    expect(() => receive(server, 1, 1, 0)).toThrow(timeout);
  });

  it('tells of a peer that closes by receiving less, then nothing', async () => {
    const { client, server } = await connected();
    send(client, 1, 2, 3);
    client.close();
    expect(receive(server, 10)).toEqual([1, 2, 3]);
    expect(receive(server, 10)).toEqual([]);
    expect(receive(server, 1, 10)).toEqual([]);
  });

  it('fails to send to a peer that has gone, without a signal', async () => {
    const { client, server } = await connected();
    server.close();
    const bytes = new Uint8Array(64 * 1024);
    expect(() => {
      for (let i = 0; i < 1000; i++) client.send(bytes, 0, bytes.length);
    }).toThrow(expect.objectContaining({ code: expect.stringMatching(/^(EPIPE|ECONNRESET)$/) as string }));
  });

  it('ends a receive in another thread by shutdown()', async () => {
    const { server } = await connected();
    const worker = startWorker(
      `const socket = new native.Socket(null, data);
       post('waits');
       post(socket.receive(new Uint8Array(1), 0, 1, 1, -1));`,
      server.handle,
    );
    expect(await next(worker)).toBe('waits');
    const answer = next(worker);
    server.shutdown();
    expect(await answer).toBe(0);
  });

  it('ends a send in another thread by shutdown()', async () => {
    const { client } = await connected();
    const worker = startWorker(
      `const socket = new native.Socket(null, data);
       const bytes = new Uint8Array(1 << 20);
       post('sends');
       try {
         for (;;) socket.send(bytes, 0, bytes.length);
       } catch (error) {
         post(error.code);
       }`,
      client.handle,
    );
    expect(await next(worker)).toBe('sends');
    const answer = next(worker);
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.shutdown();
    expect(await answer).toBe('EPIPE');
  });

  it('gives its descriptor away', async () => {
    const { client, server } = await connected();
    const fd = server.detachFd();
    onTestFinished(() => native.closeFd(fd));
    expect(() => server.fd).toThrow('used after close()');
    send(client, 8, 9);
    await readable(fd);
    const into = new Uint8Array(4);
    expect(native.readFd(fd, into)).toBe(2);
    expect([...into]).toEqual([8, 9, 0, 0]);
  });

  it('takes TCP options', async () => {
    const { client } = await connected();
    client.configure({ noDelay: 1, sendBuffer: 65536, userTimeoutMs: 5000 });
    client.configure({});
  });

  it('takes a congestion control of those the host has, and names one it has not', async () => {
    const { client } = await connected();
    client.configure({ congestion: 'reno' });
    const unknown = expect.objectContaining({
      ...{ code: 'ENOENT', syscall: 'setsockopt' },
      message: expect.stringContaining('no-such-control') as string,
    });
    expect(() => client.configure({ congestion: 'no-such-control' })).toThrow(unknown);
    expect(() => client.configure({ congestion: '' })).toThrow(expect.objectContaining({ syscall: 'setsockopt' }));
  });

  it('cannot be used after close(), which may be called again', async () => {
    const { client } = await connected();
    const { handle } = client;
    client.close();
    client.close();
    const calls = [
      () => client.fd,
      () => client.port,
      () => client.peer,
      () => client.accept(),
      () => client.configure({}),
      () => send(client, 1),
      () => receive(client, 1),
      () => client.trySendPages(patterned(1), new Uint8Array(1), 1, Uint32Array.of(0, 1), 1, 0),
      () => client.shutdown(),
      () => client.detachFd(),
    ];
    for (const call of calls) expect(call).toThrow('used after close()');
    expect(() => new native.Socket(null, handle)).toThrow('no such handle');
  });

  it('says why it cannot connect or listen', async () => {
    const { listener } = await connected();
    const { port } = listener;
    expect(() => new native.Socket('listen', '127.0.0.1', port)).toThrow(
      expect.objectContaining({ code: 'EADDRINUSE', syscall: 'bind' }),
    );
    listener.close();
    expect(() => new native.Socket('connect', '127.0.0.1', port, PATIENCE_MS)).toThrow(
      expect.objectContaining({
        code: 'ECONNREFUSED',
        syscall: 'connect',
        message: expect.stringContaining(`:${port}`) as string,
      }),
    );
    // 192.0.2.0/24 is nobody's (RFC 5737).
    expect(() => new native.Socket('listen', '192.0.2.1', 0)).toThrow(
      expect.objectContaining({ code: 'EADDRNOTAVAIL' }),
    );
    expect(() => new native.Socket('listen', '', 0)).toThrow(expect.objectContaining({ code: 'ENOTFOUND' }));
  });

  it.each([
    ['an offset beyond the array', 5, 0],
    ['a length beyond the array', 0, 5],
    ['an end beyond the array', 2, 3],
    ['a length that would wrap', 4, 2 ** 53 - 1],
  ])('refuses %s', async (_, offset, length) => {
    const { client } = await connected();
    expect(() => client.send(new Uint8Array(4), offset, length)).toThrow(RangeError);
    expect(() => client.receive(new Uint8Array(4), offset, 0, length, 0)).toThrow(RangeError);
  });

  it('refuses a minimum above the maximum', async () => {
    const { client } = await connected();
    expect(() => client.receive(new Uint8Array(4), 0, 3, 2, 0)).toThrow(RangeError);
  });
});

/** Byte i of page p is (p * 7 + i) mod 256. */
function patterned(pages: number): NativeMemory {
  const memory = new native.GuestMemory(pages * PAGE, 'anonymous');
  onTestFinished(() => memory.close());
  for (let page = 0; page < pages; page++) memory.write(page * PAGE, pageBytes(page));
  return memory;
}

const pageBytes = (page: number) => Uint8Array.from({ length: PAGE }, (_, i) => page * 7 + i);

describe('sendPages', () => {
  it('sends each header and its pages, straight from memory', async () => {
    const { client, server } = await connected();
    const memory = patterned(12);
    const headers = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);
    client.sendPages(memory, headers, 3, Uint32Array.of(5, 2, 0, 1, 11, 1), 3);
    const expected = Buffer.concat([
      ...[headers.subarray(0, 3), pageBytes(5), pageBytes(6)],
      ...[headers.subarray(3, 6), pageBytes(0)],
      ...[headers.subarray(6, 9), pageBytes(11)],
    ]);
    expect(Buffer.compare(Buffer.from(receive(server, expected.length)), expected)).toBe(0);
    expect(receive(server, 0, 1)).toEqual([]);
  });

  it('sends no more than `count` extents, also none', async () => {
    const { client, server } = await connected();
    const memory = patterned(4);
    client.sendPages(memory, new Uint8Array(8), 4, Uint32Array.of(0, 1, 1, 1), 0);
    client.sendPages(memory, Uint8Array.of(1, 1, 2, 2), 2, Uint32Array.of(3, 1, 1, 1), 1);
    expect(receive(server, 2 + PAGE)).toEqual([1, 1, ...pageBytes(3)]);
    expect(receive(server, 0, 1)).toEqual([]);
  });

  it('sends more than the socket holds', async () => {
    const { client, server } = await connected();
    const pages = 4096;
    const memory = new native.GuestMemory(pages * PAGE, 'memfd');
    onTestFinished(() => memory.close());
    for (let page = 0; page < pages; page++) memory.write(page * PAGE, new Uint8Array(Uint32Array.of(page).buffer));
    client.configure({ sendBuffer: 64 * 1024 });
    const receiver = startWorker(
      `const socket = new native.Socket(null, data);
       const frame = new Uint8Array(8 + 4 * 4096);
       const words = new Uint32Array(frame.buffer);
       let good = 0;
       while (socket.receive(frame, 0, frame.length, frame.length, -1) === frame.length) {
         const first = words[0];
         const pages = [0, 1, 2, 3].every((i) => words[2 + i * 1024] === first + i && words[3 + i * 1024] === 0);
         if (pages && words[1] === 0xabcd) good++;
       }
       post(good);`,
      server.handle,
    );
    const extents = new Uint32Array(512);
    const headers = new Uint32Array(512);
    for (let first = 0; first < pages; first += 1024) {
      for (let i = 0; i < 256; i++) {
        extents.set([first + i * 4, 4], i * 2);
        headers.set([first + i * 4, 0xabcd], i * 2);
      }
      client.sendPages(memory, new Uint8Array(headers.buffer), 8, extents, 256);
    }
    client.shutdown();
    expect(await next(receiver)).toBe(pages / 4);
  });

  it('refuses what is outside of memory or of its arrays, and sends nothing', async () => {
    const { client, server } = await connected();
    const memory = patterned(4);
    const header = new Uint8Array(8);
    const calls = [
      () => client.sendPages(memory, header, 8, Uint32Array.of(4, 1), 1),
      () => client.sendPages(memory, header, 8, Uint32Array.of(0, 5), 1),
      () => client.sendPages(memory, header, 8, Uint32Array.of(0xffff_ffff, 0xffff_ffff), 1),
      () => client.sendPages(memory, header, 4, Uint32Array.of(0, 1, 9, 1), 2),
      () => client.sendPages(memory, header, 8, Uint32Array.of(0, 1), 2),
      () => client.sendPages(memory, header, 8, Uint32Array.of(0, 1, 1, 1), 2),
      () => client.sendPages(memory, new Uint8Array(2000), 1, new Uint32Array(4000), 1025),
      () => client.sendPages(memory, new Uint8Array(8192), 4097, Uint32Array.of(0, 1), 1),
    ];
    for (const call of calls) expect(call).toThrow(RangeError);
    expect(() => client.sendPages({} as NativeMemory, header, 8, Uint32Array.of(0, 1), 1)).toThrow(TypeError);
    expect(() => client.sendPages(memory, header, 8, [0, 1] as unknown as Uint32Array, 1)).toThrow(TypeError);
    expect(receive(server, 0, 1)).toEqual([]);
  });
});

describe('trySendPages', () => {
  const HEADERS = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);
  const EXTENTS = Uint32Array.of(5, 2, 0, 0, 11, 1);
  /** What the three extents are on the wire; the one in the middle has no pages. */
  const frame = () =>
    Buffer.concat([...[HEADERS.subarray(0, 3), pageBytes(5), pageBytes(6)], ...[HEADERS.subarray(3), pageBytes(11)]]);

  /** One that is connected, and takes little at a time. */
  async function narrow(): Promise<{ client: Socket; server: Socket }> {
    const pair = await connected();
    pair.client.configure({ sendBuffer: 4096, noDelay: 1 });
    return pair;
  }

  it('sends all of it when it fits', async () => {
    const { client, server } = await connected();
    const expected = frame();
    expect(client.trySendPages(patterned(12), HEADERS, 3, EXTENTS, 3, 0)).toBe(expected.length);
    expect(Buffer.from(receive(server, expected.length)).equals(expected)).toBe(true);
    expect(receive(server, 0, 1)).toEqual([]);
  });

  it('leaves out any number of bytes at the beginning', () => {
    // Unix sockets carry the same bytes, at once.
    const [one, other] = native.socketPair();
    const [client, server] = [new native.Socket('adopt', one), new native.Socket('adopt', other)];
    onTestFinished(() => [client, server].forEach((socket) => socket.close()));
    const memory = patterned(12);
    const expected = frame();
    const into = Buffer.alloc(expected.length + 1);
    for (let skip = 0; skip <= expected.length; skip++) {
      const sent = client.trySendPages(memory, HEADERS, 3, EXTENTS, 3, skip);
      let got = 0;
      while (got < sent) got += server.receive(into, got, 0, into.length - got, 0);
      const right = sent === expected.length - skip && into.subarray(0, got).equals(expected.subarray(skip));
      if (!right) throw new Error(`skip ${skip}: ${sent} bytes, ${got} came`);
    }
    expect(server.receive(into, 0, 0, 1, 0)).toBe(-1);
  });

  it('sends nothing when all is to be left out, or there is nothing', async () => {
    const { client, server } = await connected();
    const memory = patterned(12);
    const { length } = frame();
    for (const skip of [length, length + 1, 2 ** 53 - 1]) {
      expect(client.trySendPages(memory, HEADERS, 3, EXTENTS, 3, skip)).toBe(0);
    }
    expect(client.trySendPages(memory, HEADERS, 3, EXTENTS, 0, 0)).toBe(0);
    expect(client.trySendPages(memory, HEADERS, 0, Uint32Array.of(0, 0), 1, 0)).toBe(0);
    expect(receive(server, 0, 1)).toEqual([]);
  });

  it('sends what fits and does not wait; called again and again, it sends all of it, once', async () => {
    const { client, server } = await narrow();
    const pages = 600;
    const memory = patterned(pages);
    const expected = Buffer.concat([HEADERS.subarray(0, 8), ...Array.from({ length: pages }, (_, i) => pageBytes(i))]);
    const into = Buffer.alloc(10_000);
    const parts: Buffer[] = [];
    let [skip, full] = [0, 0];
    const set = Int32Array.of(server.fd, POLLIN, 0, client.fd, POLLOUT, 0);
    for (let got = 0; got < expected.length;) {
      const sent = client.trySendPages(memory, HEADERS, 8, Uint32Array.of(0, pages), 1, skip);
      if (sent === 0) full++;
      skip += sent;
      expect(native.poll(set, skip < expected.length ? 2 : 1, PATIENCE_MS)).toBeGreaterThan(0);
      const count = Math.max(0, server.receive(into, 0, 0, into.length, 0));
      parts.push(Buffer.from(into.subarray(0, count)));
      got += count;
    }
    expect([skip, Buffer.concat(parts).equals(expected)]).toEqual([expected.length, true]);
    expect(full).toBeGreaterThan(0);
  });

  it('can be waited for when nothing fits', async () => {
    const { client, server } = await narrow();
    const memory = patterned(200);
    const all = Uint32Array.of(0, 200);
    while (client.trySendPages(memory, HEADERS, 8, all, 1, 0) > 0);
    const set = Int32Array.of(client.fd, POLLOUT, 0);
    expect(native.poll(set, 1, 0)).toBe(0);
    const into = new Uint8Array(1 << 20);
    const deadline = Date.now() + PATIENCE_MS;
    while (native.poll(set, 1, 1) === 0) {
      expect(Date.now()).toBeLessThan(deadline);
      server.receive(into, 0, 0, into.length, 0);
    }
    expect(client.trySendPages(memory, HEADERS, 8, all, 1, 0)).toBeGreaterThan(0);
  });

  it('fails when the other end has gone, without a signal', async () => {
    const { client, server } = await connected();
    server.close();
    const memory = patterned(12);
    const gone = expect.objectContaining({ code: expect.stringMatching(/^(EPIPE|ECONNRESET)$/) as string });
    await expect(
      (async () => {
        for (let i = 0; i < 1000; i++) {
          client.trySendPages(memory, HEADERS, 3, EXTENTS, 3, 0);
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      })(),
    ).rejects.toEqual(gone);
  });

  it('fails after shutdown()', async () => {
    const { client } = await connected();
    client.shutdown();
    expect(() => client.trySendPages(patterned(12), HEADERS, 3, EXTENTS, 3, 0)).toThrow(
      expect.objectContaining({ code: 'EPIPE', syscall: 'sendmsg' }),
    );
  });

  it('refuses what is outside of memory or of its arrays, and sends nothing', async () => {
    const { client, server } = await connected();
    const memory = patterned(4);
    const header = new Uint8Array(8);
    const calls = [
      () => client.trySendPages(memory, header, 8, Uint32Array.of(4, 1), 1, 0),
      () => client.trySendPages(memory, header, 8, Uint32Array.of(0, 5), 1, 0),
      () => client.trySendPages(memory, header, 4, Uint32Array.of(0, 1, 9, 1), 2, 0),
      () => client.trySendPages(memory, header, 8, Uint32Array.of(0, 1, 1, 1), 2, 0),
      () => client.trySendPages(memory, new Uint8Array(2000), 1, new Uint32Array(4000), 1025, 0),
      () => client.trySendPages(memory, header, 8, Uint32Array.of(0, 1), 1, -1),
      () => client.trySendPages(memory, header, 8, Uint32Array.of(0, 1), 1, 0.5),
    ];
    for (const call of calls) expect(call).toThrow(RangeError);
    const loose = client.trySendPages.bind(client) as unknown as (...values: unknown[]) => number;
    expect(() => loose({}, header, 8, Uint32Array.of(0, 1), 1, 0)).toThrow(TypeError);
    expect(() => loose(memory, header, 8, Uint32Array.of(0, 1), 1)).toThrow(TypeError);
    expect(receive(server, 0, 1)).toEqual([]);
  });
});
