import { decode, encode } from '@msgpack/msgpack';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { PostcopyError } from '../../../../src/errors.js';
import { encodeMessage, FrameDecoder } from '../../../../src/migrate/wire/frame.js';
import { MESSAGES as SCHEMAS, type Message, type MessageType } from '../../../../src/migrate/wire/message.js';
import { FIELDS_SINCE } from '../../../../src/migrate/wire/protocol.js';

/** {sentAt: 1} as PING: length 9, tag 11, then a map of one with a text of six. */
const PING = [9, 0, 0, 0, 11, 0, 0, 0, 0x81, 0xa6, 0x73, 0x65, 0x6e, 0x74, 0x41, 0x74, 0x01];
/** {features: []} */
const ACCEPT = [11, 0, 0, 0, 2, 0, 0, 0, 0x81, 0xa8, 0x66, 0x65, 0x61, 0x74, 0x75, 0x72, 0x65, 0x73, 0x90];
/** {reason: "no"} */
const ABORT = [11, 0, 0, 0, 13, 0, 0, 0, 0x81, 0xa6, 0x72, 0x65, 0x61, 0x73, 0x6f, 0x6e, 0xa2, 0x6e, 0x6f];
/** {ramMap: bytes 05 03} */
const RAM = [12, 0, 0, 0, 14, 0, 0, 0, 0x81, 0xa6, 0x72, 0x61, 0x6d, 0x4d, 0x61, 0x70, 0xc4, 2, 5, 3];

const STREAM = Uint8Array.from([...PING, ...ACCEPT, ...RAM, ...ABORT]);
const MESSAGES = [
  { type: 'ping', body: { sentAt: 1 } },
  { type: 'accept', body: { features: [] } },
  { type: 'ram', body: { ramMap: Uint8Array.of(5, 3) } },
  { type: 'abort', body: { reason: 'no' } },
];

function frame(tag: number, body: Uint8Array, length = body.length): Uint8Array {
  const bytes = new Uint8Array(8 + body.length);
  new DataView(bytes.buffer).setUint32(0, length, true);
  new DataView(bytes.buffer).setUint32(4, tag, true);
  bytes.set(body, 8);
  return bytes;
}

function badPeer(push: () => unknown): string {
  try {
    push();
  } catch (error) {
    expect(error).toBeInstanceOf(PostcopyError);
    expect(error).toHaveProperty('code', 'BAD_PEER');
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

const part = Uint8Array.of(1, 2, 3);
const vcpu = {
  regs: part,
  sregs: part,
  debugregs: part,
  xcrs: part,
  xsave: part,
  mpState: part,
  vcpuEvents: part,
  lapic: part,
  msrs: part,
};
const cpu = {
  machine: 'kvm' as const,
  vcpus: [vcpu],
  chips: { picMaster: part, picSlave: part, ioapic: part, pit: part },
  clock: part,
};
const threads = { machine: 'threads' as const, vcpus: [{ regs: part, xsave: part }] };
const state = {
  cpu,
  devices: { serial: { lcr: 3 } },
  ramMap: part,
  firstPages: [3, 2 ** 31],
  firstContent: part,
  held: Uint8Array.of(9, 1),
  diskSamples: [{ id: 'root', offsets: [0, 4096], hash: part }],
};
const hello = {
  release: '0.1.0',
  name: 'vm',
  epoch: 1,
  machine: 'kvm' as const,
  bootId: '0f6b3b5e-3b0c-4f53-9b54-5f2c8f0a9c11',
  memoryBytes: 2 ** 40,
  cpu: 'x86-64-v3' as const,
  cpuid: [new Uint8Array(80)],
  constantMsrs: new Uint8Array(32),
  tscKhz: 2_000_000,
  xsaveBytes: 4096,
  files: [{ role: 'kernel' as const, path: '/boot/vmlinuz', bytes: 5, sha256: 'a'.repeat(64) }],
  cmdline: 'console=ttyS0',
  reboot: true,
  devices: [
    { kind: 'console' as const },
    { kind: 'block' as const, id: 'root', path: '/srv/root.img', readonly: false, bytes: 2 ** 40 },
    { kind: 'net' as const, id: 'net0', mac: '52:54:00:00:00:01', mtu: 9000 },
  ],
  bulkChannels: 1,
  prefetch: 'in-order',
  features: ['one'],
  paused: false,
  mode: 'hybrid' as const,
};
const waits = { count: 3, mean: 1.5, p50: 1, p90: 2, p99: 3, max: 3 };

describe('encodeMessage', () => {
  it('writes length, tag and MessagePack', () => {
    expect([...encodeMessage('ping', { sentAt: 1 })]).toEqual(PING);
    expect([...encodeMessage('accept', { features: [] })]).toEqual(ACCEPT);
    expect([...encodeMessage('ram', { ramMap: Uint8Array.of(5, 3) })]).toEqual(RAM);
    expect([...encodeMessage('abort', { reason: 'no' })]).toEqual(ABORT);
  });

  it.each([
    { type: 'hello', body: hello },
    { type: 'accept', body: { features: ['one', 'two-3'] } },
    { type: 'refuse', body: { reasons: ['too small', 'too old'] } },
    { type: 'state', body: state },
    { type: 'state', body: { ...state, cpu: threads } },
    { type: 'hello', body: { ...hello, machine: 'threads', cpuid: [new Uint8Array(0)] } },
    { type: 'loaded', body: { afterMicros: 310.5 } },
    { type: 'commit', body: { epoch: 2, sinceClockMicros: 1234.5 } },
    { type: 'running', body: { afterMicros: 88.25 } },
    { type: 'progress', body: { pagesInstalled: 7, faultsWaiting: 0 } },
    { type: 'complete', body: { faultWaitUs: waits, vcpuBlockedMs: 0.5, peakBytes: 1, overheadBytes: 0 } },
    { type: 'bye', body: {} },
    { type: 'ping', body: { sentAt: 0.5 } },
    { type: 'pong', body: { sentAt: -1 } },
    { type: 'abort', body: { reason: '' } },
    { type: 'ram', body: { ramMap: new Uint8Array(0) } },
    { type: 'lost', body: { reason: 'stopped' } },
    { type: 'output', body: { serial: Uint8Array.of(104, 105), virtio: new Uint8Array(65536) } },
  ] as Message[])('$type comes back as it was', (message) => {
    const frames = encodeMessage(message.type, message.body as never);
    expect(new FrameDecoder().push(frames)).toEqual([message]);
  });

  it.each<[MessageType, number]>([
    ['hello', 1],
    ['accept', 2],
    ['refuse', 3],
    ['state', 4],
    ['loaded', 5],
    ['commit', 6],
    ['running', 7],
    ['progress', 8],
    ['complete', 9],
    ['bye', 10],
    ['ping', 11],
    ['pong', 12],
    ['abort', 13],
    ['ram', 14],
    ['lost', 15],
    ['standing', 16],
    ['pushing', 17],
    ['copying', 18],
  ])('%s has tag %d', (type, tag) => {
    expect(encodeMessage(type, {} as never)[4]).toBe(tag);
  });
});

describe('version 7', () => {
  /** What is in a frame, whatever version would read it. */
  const raw = (bytes: Uint8Array) => decode(bytes.subarray(8)) as Record<string, unknown>;
  const { paused: _paused, mode: _mode, cpu: _cpu, constantMsrs: _msrs, ...hello7 } = hello;

  it('has the fields of the newest without those that came later', () => {
    expect(raw(encodeMessage('hello', hello, 7))).toEqual(hello7);
    expect(raw(encodeMessage('hello', hello, 8))).toEqual(hello);
    expect([...encodeMessage('ping', { sentAt: 1 }, 7)]).toEqual(PING);
  });

  it('is read with their defaults, also when they are there', () => {
    const defaults = { paused: false, cpu: 'host', constantMsrs: new Uint8Array(0), mode: 'post-copy' };
    const read = [{ type: 'hello', body: { ...hello7, ...defaults } }];
    expect(new FrameDecoder(7).push(frame(1, encode(hello7)))).toEqual(read);
    expect(new FrameDecoder(7).push(frame(1, encode({ ...hello, paused: 'what' })))).toEqual(read);
    badPeer(() => new FrameDecoder(7).push(frame(2, encode([]))));
  });

  it('lacks fields that there are, and each of them has a default', () => {
    for (const { message, fields } of FIELDS_SINCE) {
      const { shape } = SCHEMAS[message as MessageType].body as z.ZodObject;
      for (const field of fields) expect(shape[field]?.safeParse(undefined).success, `${message}.${field}`).toBe(true);
    }
  });
});

describe('FrameDecoder', () => {
  it('cuts a stream into messages', () => {
    expect(new FrameDecoder().push(STREAM)).toEqual(MESSAGES);
  });

  it('does not mind where the stream is split', () => {
    for (let at = 0; at <= STREAM.length; at++) {
      const decoder = new FrameDecoder();
      const messages = [...decoder.push(STREAM.slice(0, at)), ...decoder.push(STREAM.slice(at))];
      expect(messages, `split at ${at}`).toEqual(MESSAGES);
    }
  });

  it.each([1, 2, 3, 5, 7, 8, 9, 11])('takes parts of %d bytes', (size) => {
    const decoder = new FrameDecoder();
    const messages: Message[] = [];
    for (let at = 0; at < STREAM.length; at += size) {
      messages.push(...decoder.push(STREAM.slice(at, at + size)), ...decoder.push(new Uint8Array(0)));
    }
    expect(messages).toEqual(MESSAGES);
  });

  it('gives each message when it is whole, not later', () => {
    const decoder = new FrameDecoder();
    expect(decoder.push(STREAM.slice(0, PING.length - 1))).toEqual([]);
    expect(decoder.push(STREAM.slice(PING.length - 1, PING.length))).toEqual(MESSAGES.slice(0, 1));
  });

  it.each([0, 19, 255, 0x100, 0x0100_0001, 0x0b00_0000, 0xffff_ffff])('refuses tag %d', (tag) => {
    const header = frame(tag, new Uint8Array(0), 1);
    expect(badPeer(() => new FrameDecoder().push(header))).toContain(String(tag));
  });

  it('refuses a tag before it waits for the body', () => {
    const decoder = new FrameDecoder();
    expect(decoder.push(frame(99, new Uint8Array(0), 1000).slice(0, 7))).toEqual([]);
    badPeer(() => decoder.push(Uint8Array.of(0)));
  });

  it.each([
    ['accept', 2, 1024 * 1024],
    ['hello', 1, 1024 * 1024],
    ['state', 4, 1024 * 1024 * 1024],
    ['ram', 14, 1024 * 1024 * 1024],
  ])('waits for a %s of the most bytes, and refuses one more', (_, tag, most) => {
    expect(new FrameDecoder().push(frame(tag, new Uint8Array(0), most))).toEqual([]);
    badPeer(() => new FrameDecoder().push(frame(tag, new Uint8Array(0), most + 1)));
    badPeer(() => new FrameDecoder().push(frame(tag, new Uint8Array(0), 0xffff_ffff)));
  });

  it.each([
    ['hello', 1],
    ['state', 4],
    ['ram', 14],
  ])('waits for no %s of more than 64 KiB while nothing is agreed on', (_, tag) => {
    const greeting = new FrameDecoder();
    greeting.isGreeting = true;
    expect(greeting.push(frame(tag, new Uint8Array(0), 64 * 1024))).toEqual([]);
    const other = new FrameDecoder();
    other.isGreeting = true;
    badPeer(() => other.push(frame(tag, new Uint8Array(0), 64 * 1024 + 1)));
  });

  const ping = encode({ sentAt: 1 });
  it.each([
    ['shorter than the body', frame(11, ping, ping.length - 1)],
    ['longer than the body', frame(11, Uint8Array.from([...ping, 0]), ping.length + 1)],
    ['zero', frame(11, ping, 0)],
  ])('refuses a length that is %s', (_, bytes) => {
    badPeer(() => new FrameDecoder().push(bytes));
  });

  it.each([
    ['vCPUs', 4, { ...state, cpu: { ...cpu, vcpus: new Array(4096).fill({}) } }],
    ['vCPUs, more than there can be', 4, { ...state, cpu: { ...cpu, vcpus: new Array(60_000).fill({}) } }],
    ['CPUIDs', 1, { ...hello, cpuid: new Array(4096).fill(1) }],
    ['reasons', 3, { reasons: new Array(1024).fill(1) }],
  ])('says in few words what is wrong with many %s', (_, tag, body) => {
    expect(badPeer(() => new FrameDecoder().push(frame(tag, encode(body)))).length).toBeLessThan(1000);
  });

  it.each([
    ['no map', 11, 5],
    ['null', 2, null],
    ['an array', 2, []],
    ['a missing field', 11, {}],
    ['text for a number', 11, { sentAt: '1' }],
    ['NaN', 11, { sentAt: NaN }],
    ['output beyond what is kept', 20, { serial: new Uint8Array(65537), virtio: new Uint8Array(0) }],
    ['infinity', 6, { epoch: 1, sinceClockMicros: Infinity }],
    ['a negative time', 6, { epoch: 1, sinceClockMicros: -1 }],
    ['a negative count', 6, { epoch: -1, sinceClockMicros: 1 }],
    ['a fraction for a count', 6, { epoch: 1.5, sinceClockMicros: 1 }],
    ['a count beyond 2^53', 8, { pagesInstalled: 2 ** 60, faultsWaiting: 0 }],
    ['a refusal without a reason', 3, { reasons: [] }],
    ['a reason that is no text', 3, { reasons: [1] }],
    ['an array for bytes', 14, { ramMap: [1, 2] }],
    ['text for bytes', 14, { ramMap: 'ab' }],
    ['no vCPU in HELLO', 1, { ...hello, cpuid: [] }],
    ['CPUID that is no whole entry in HELLO', 1, { ...hello, cpuid: [new Uint8Array(41)] }],
    ['257 CPUID entries in HELLO', 1, { ...hello, cpuid: [new Uint8Array(257 * 40)] }],
    ['4097 vCPUs in STATE', 4, { ...state, cpu: { ...threads, vcpus: new Array(4097).fill(threads.vcpus[0]) } }],
    [
      'more MSRs than there are in STATE',
      4,
      { ...state, cpu: { ...cpu, vcpus: [{ ...vcpu, msrs: new Uint8Array(65537) }] } },
    ],
    ['1025 reasons for a refusal', 3, { reasons: new Array(1025).fill('no') }],
    ['no bulk channel in HELLO', 1, { ...hello, bulkChannels: 0 }],
    ['17 bulk channels in HELLO', 1, { ...hello, bulkChannels: 17 }],
    ['1000 features in HELLO', 1, { ...hello, features: Array.from({ length: 1000 }, (_, i) => `f${i}`) }],
    ['65 features in ACCEPT', 2, { features: Array.from({ length: 65 }, (_, i) => `f${i}`) }],
    ['a feature without a name', 1, { ...hello, features: [''] }],
    ['a feature with a line feed', 1, { ...hello, features: ['a\nb'] }],
    ['a feature of 65 characters', 1, { ...hello, features: ['x'.repeat(65)] }],
    ['a number for a feature', 1, { ...hello, features: [1] }],
    ['a policy without a name', 1, { ...hello, prefetch: '' }],
    ['an unknown device in HELLO', 1, { ...hello, devices: [{ kind: 'gpu' }] }],
    [
      'a multicast MAC in HELLO',
      1,
      { ...hello, devices: [{ kind: 'net', id: 'n', mac: '01:00:00:00:00:01', mtu: 0 }] },
    ],
    ['17 devices in HELLO', 1, { ...hello, devices: new Array(17).fill({ kind: 'rng' }) }],
    ['an unknown role in HELLO', 1, { ...hello, files: [{ ...hello.files[0], role: 'disk' }] }],
    ['a short checksum in HELLO', 1, { ...hello, files: [{ ...hello.files[0], sha256: 'abc' }] }],
    ['a vCPU without registers in STATE', 4, { ...state, cpu: { ...cpu, vcpus: [{ ...vcpu, regs: undefined }] } }],
    ['no chips in STATE', 4, { ...state, cpu: { ...cpu, chips: {} } }],
    ['an unknown machine in STATE', 4, { ...state, cpu: { ...cpu, machine: 'qemu' } }],
    ['a machine of KVM with the vCPUs of threads in STATE', 4, { ...state, cpu: { ...threads, machine: 'kvm' } }],
    ['a thread without registers in STATE', 4, { ...state, cpu: { ...threads, vcpus: [{ xsave: part }] } }],
    ['no machine in HELLO', 1, { ...hello, machine: undefined }],
    ['an unknown machine in HELLO', 1, { ...hello, machine: 'qemu' }],
    ['a boot ID of 65 characters in HELLO', 1, { ...hello, bootId: 'x'.repeat(65) }],
  ])('refuses %s', (_, tag, body) => {
    expect(badPeer(() => new FrameDecoder().push(frame(tag, encode(body))))).toMatch(/^bad \w+ message: /);
  });

  it.each([
    ['no MessagePack at all', [0xc1]],
    [
      'arrays in arrays, each said to hold 30 million',
      Array.from({ length: 200 }, () => [0xdd, 1, 0xff, 0xff, 0xff]).flat(),
    ],
    ['one array said to hold four thousand million', [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['one map said to hold four thousand million', [0xdf, 0xff, 0xff, 0xff, 0xff]],
    ['a map key that is a map', [0x81, 0x80, 0x01]],
  ])('refuses %s, and takes no memory for it', (_, body) => {
    badPeer(() => new FrameDecoder().push(frame(2, Uint8Array.from(body))));
  });
});
