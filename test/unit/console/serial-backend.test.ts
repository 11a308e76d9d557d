import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openSerialBackend, type SerialBackend } from '../../../src/console/serial-backend.js';
import { INPUT_BACKLOG_BYTES, READER_BACKLOG_BYTES, RECENT_OUTPUT_BYTES } from '../../../src/console/serial-hub.js';
import { Collected, socketPair } from './socket-pair.js';

let directory: string;
let backend: SerialBackend | undefined;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'postcopy-serial-'))));
afterEach(async () => {
  await backend?.close();
  backend = undefined;
  rmSync(directory, { recursive: true });
});

/** Attaches a serial port and returns the guest's end of it. */
async function attachGuest(to: SerialBackend): Promise<Socket> {
  const [port, guest] = await socketPair(directory);
  to.attach(port);
  return guest;
}

async function attachConsole(to: SerialBackend): Promise<Socket> {
  const [stream, client] = await socketPair(directory);
  to.addConsole(stream);
  return client;
}

describe('consoles', () => {
  it('see the output and give input, several at a time', async () => {
    backend = await openSerialBackend({ kind: 'null' });
    const guest = await attachGuest(backend);
    const clients = [await attachConsole(backend), await attachConsole(backend)];
    const seen = clients.map((client) => new Collected(client));
    const input = new Collected(guest);
    guest.write('login: ');
    for (const each of seen) expect(await each.until((text) => text.length === 7)).toBe('login: ');
    clients[0]!.write('ro');
    await input.until((text) => text === 'ro');
    clients[1]!.write('ot\r');
    expect(await input.until((text) => text.length === 5)).toBe('root\r');
  });

  it('that attach late see the last 64 KiB, whole and in order', async () => {
    backend = await openSerialBackend({ kind: 'null' });
    const guest = await attachGuest(backend);
    const witness = new Collected(await attachConsole(backend));
    const lines = Array.from({ length: 20_000 }, (_, line) => `line ${line}\n`).join('');
    guest.write(lines);
    await witness.until((text) => text.length === lines.length);
    const late = new Collected(await attachConsole(backend));
    await late.until((text) => text.length >= RECENT_OUTPUT_BYTES);
    expect(late.text).toBe(lines.slice(-RECENT_OUTPUT_BYTES));
  });

  it('that do not read miss output, and hold up neither the guest nor the others', async () => {
    backend = await openSerialBackend({ kind: 'null' });
    const guest = await attachGuest(backend);
    const slow = await attachConsole(backend);
    slow.pause();
    const quick = new Collected(await attachConsole(backend));
    const total = 4 * READER_BACKLOG_BYTES;
    guest.write(Buffer.alloc(total, 'x'));
    await quick.until((text) => text.length === total);
    const late = new Collected(slow);
    slow.resume();
    guest.write('end');
    await quick.until((text) => text.endsWith('end'));
    await vi.waitFor(() => expect(late.length).toBeGreaterThan(READER_BACKLOG_BYTES / 2));
    expect(late.length).toBeLessThan(total);
  });

  it('are forgotten when they close, cleanly or not', async () => {
    backend = await openSerialBackend({ kind: 'null' });
    const guest = await attachGuest(backend);
    const [stream, client] = await socketPair(directory);
    backend.addConsole(stream);
    client.destroy();
    const other = await attachConsole(backend);
    other.end();
    await once(other.resume(), 'close');
    const last = new Collected(await attachConsole(backend));
    guest.write('on');
    expect(await last.until((text) => text === 'on')).toBe('on');
    expect(stream.destroyed).toBe(true);
  });

  it('are held back while the guest does not read, and lose nothing', async () => {
    backend = await openSerialBackend({ kind: 'null' });
    const guest = await attachGuest(backend);
    const client = await attachConsole(backend);
    const text = Array.from({ length: 300_000 }, (_, n) => (n * 7919).toString(36)).join(' ');
    client.write(text);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(client.writableLength).toBeGreaterThan(0);
    const input = new Collected(guest);
    await input.until((got) => got.length === text.length);
    expect(input.text === text).toBe(true);
  });

  it('may write before the guest is there, and across a reset', async () => {
    backend = await openSerialBackend({ kind: 'null' });
    const client = await attachConsole(backend);
    client.write('early ');
    await new Promise((resolve) => setTimeout(resolve, 20));
    const first = await attachGuest(backend);
    await new Collected(first).until((text) => text === 'early ');
    first.destroy();
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.write('between');
    await new Promise((resolve) => setTimeout(resolve, 20));
    const second = await attachGuest(backend);
    expect(await new Collected(second).until((text) => text.length >= 7)).toBe('between');
    const seen = new Collected(client);
    second.write('again');
    expect(await seen.until((text) => text === 'again')).toBe('again');
  });

  it('are ended by close, after the last output', async () => {
    backend = await openSerialBackend({ kind: 'null' });
    const guest = await attachGuest(backend);
    const client = await attachConsole(backend);
    const seen = new Collected(client);
    guest.write('power down');
    await seen.until((text) => text === 'power down');
    await backend.close();
    expect(await seen.untilClosed()).toBe('power down');
    const late = new Collected(await attachConsole(backend));
    expect(await late.untilClosed()).toBe('');
  });
});

describe('a reset', () => {
  it('takes the new port and leaves the old one', async () => {
    backend = await openSerialBackend({ kind: 'null' });
    const old = await attachGuest(backend);
    const seen = new Collected(await attachConsole(backend));
    const fresh = await attachGuest(backend);
    fresh.write('new');
    expect(await seen.until((text) => text.includes('new'))).toBe('new');
    expect(old.destroyed).toBe(false);
  });
});

describe('file', () => {
  it('gets the output appended, for its owner alone', async () => {
    const path = join(directory, 'log');
    for (const word of ['one ', 'two']) {
      const target = await openSerialBackend({ kind: 'file', path });
      const guest = await attachGuest(target);
      const seen = new Collected(await attachConsole(target));
      guest.write(word);
      await seen.until((text) => text === word);
      await target.close();
    }
    expect(readFileSync(path, 'utf8')).toBe('one two');
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('follows a link of its owner, and none where others may put one', async () => {
    const [target, link] = [join(directory, 'log'), join(directory, 'link')];
    symlinkSync(target, link);
    backend = await openSerialBackend({ kind: 'file', path: link });
    expect(statSync(target).isFile()).toBe(true);
    chmodSync(directory, 0o1777);
    await expect(openSerialBackend({ kind: 'file', path: link })).rejects.toMatchObject({
      code: 'BAD_CONFIG',
      message: expect.stringContaining('it is a symbolic link') as string,
    });
  });

  it.each(['missing/log', '.'])('%s cannot be written', async (name) => {
    await expect(openSerialBackend({ kind: 'file', path: join(directory, name) })).rejects.toMatchObject({
      code: 'BAD_CONFIG',
      message: expect.stringContaining(directory),
    });
  });
});

describe('unix', () => {
  const open = (path: string) => openSerialBackend({ kind: 'unix', path });

  it('serves several clients in both directions, and goes away', async () => {
    const path = join(directory, 's');
    backend = await open(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const guest = await attachGuest(backend);
    const input = new Collected(guest);
    const clients = [connect(path), connect(path)];
    const seen = clients.map((client) => new Collected(client));
    clients[0]!.write('a');
    await input.until((text) => text === 'a');
    clients[1]!.write('b');
    await input.until((text) => text === 'ab');
    guest.write('hello');
    for (const each of seen) expect(await each.until((text) => text === 'hello')).toBe('hello');
    await backend.close();
    for (const each of seen) await each.untilClosed();
    expect(existsSync(path)).toBe(false);
  });

  it('replaces a socket whose process is dead', async () => {
    const path = join(directory, 's');
    await leaveStaleSocket(path);
    backend = await open(path);
    await once(connect(path), 'connect');
  });

  it('does not take a socket that is in use', async () => {
    const path = join(directory, 's');
    backend = await open(path);
    await expect(open(path)).rejects.toMatchObject({ code: 'ADDRESS_IN_USE', message: expect.stringContaining(path) });
    await once(connect(path), 'connect');
  });

  it('does not replace what is no socket', async () => {
    const path = join(directory, 'f');
    writeFileSync(path, 'precious');
    await expect(open(path)).rejects.toMatchObject({ code: 'BAD_CONFIG' });
    expect(readFileSync(path, 'utf8')).toBe('precious');
    mkdirSync(join(directory, 'd'));
    await expect(open(join(directory, 'd'))).rejects.toMatchObject({ code: 'BAD_CONFIG' });
    await expect(open(join(directory, 'missing', 's'))).rejects.toMatchObject({ code: 'BAD_CONFIG' });
  });
});

describe('stdio', () => {
  class Keyboard extends PassThrough {
    raw: boolean[] = [];
    constructor(readonly isTTY: boolean) {
      super();
    }
    setRawMode(raw: boolean) {
      this.raw.push(raw);
    }
  }

  async function openStdio(isTTY: boolean) {
    const input = new Keyboard(isTTY);
    const output = new PassThrough();
    const onQuit = vi.fn();
    backend = await openSerialBackend({ kind: 'stdio' }, { onQuit, stdio: { input, output } });
    return { input, output, onQuit };
  }

  it('joins a pipe to the guest, bytes as they are', async () => {
    const { input, output, onQuit } = await openStdio(false);
    input.write('early\x01x');
    const guest = await attachGuest(backend!);
    const got = new Collected(guest);
    expect(await got.until((text) => text.length === 7)).toBe('early\x01x');
    const seen = new Collected(output);
    guest.write('out');
    expect(await seen.until((text) => text === 'out')).toBe('out');
    expect(onQuit).not.toHaveBeenCalled();
    expect(input.raw).toEqual([]);
  });

  it('sets a terminal raw while a guest is there only, and restores it', async () => {
    const { input } = await openStdio(true);
    expect(input.raw).toEqual([]);
    await attachGuest(backend!);
    await attachGuest(backend!);
    expect(input.raw).toEqual([true]);
    await backend!.close();
    expect(input.raw).toEqual([true, false]);
  });

  it('ends the VM with Ctrl-a x, and sends Ctrl-a with Ctrl-a a', async () => {
    const { input, onQuit } = await openStdio(true);
    const guest = new Collected(await attachGuest(backend!));
    input.write('\x03x\x01a\x01\x01\x01b');
    expect(await guest.until((text) => text.length === 6)).toBe('\x03x\x01\x01\x01b');
    expect(onQuit).not.toHaveBeenCalled();
    input.write('\x01');
    input.write('x');
    await vi.waitFor(() => expect(onQuit).toHaveBeenCalledOnce());
  });

  it('finds Ctrl-a x also when the guest reads nothing', async () => {
    const { input, onQuit } = await openStdio(true);
    await attachGuest(backend!);
    for (let sent = 0; sent < 64; sent++) input.write(Buffer.alloc(INPUT_BACKLOG_BYTES, 'y'));
    input.write('\x01x');
    await vi.waitFor(() => expect(onQuit).toHaveBeenCalledOnce());
  });
});

async function leaveStaleSocket(path: string): Promise<void> {
  const moved = `${path}.moved`;
  const server = createServer().listen(moved);
  await once(server, 'listening');
  // close() unlinks the name that it made; this one stays behind, as after a crash.
  const { renameSync } = await import('node:fs');
  renameSync(moved, path);
  server.close();
  await once(server, 'close');
}
