import { describe, expect, it } from 'vitest';
import {
  ExtentOutbox,
  ReceivedOutbox,
  RequestOutbox,
  TrialOutbox,
  TriedOutbox,
  UrgentOutbox,
} from '../../../../src/migrate/wire/page-outbox.js';
import type { NativeMemory, Socket } from '../../../../src/native.js';

const MEMORY = {} as NativeMemory;

/** What was sent: bytes; or headers with the pages behind each. */
class FakeSocket {
  readonly sent: number[][] = [];
  readonly pages: [header: number[], first: number, count: number][] = [];
  readonly skipped: number[] = [];
  /** What trySendPages() takes, one entry a call. */
  room: number[] = [];

  send(bytes: Uint8Array, offset: number, length: number): void {
    this.sent.push([...bytes.subarray(offset, offset + length)]);
  }

  sendPages(memory: NativeMemory, headers: Uint8Array, headerBytes: number, extents: Uint32Array, count: number): void {
    expect(memory).toBe(MEMORY);
    for (let i = 0; i < count; i++) {
      const header = [...headers.subarray(i * headerBytes, (i + 1) * headerBytes)];
      this.pages.push([header, extents[i * 2] ?? NaN, extents[i * 2 + 1] ?? NaN]);
    }
  }

  trySendPages(
    memory: NativeMemory,
    headers: Uint8Array,
    headerBytes: number,
    extents: Uint32Array,
    count: number,
    skip: number,
  ): number {
    if (skip === 0) this.sendPages(memory, headers, headerBytes, extents, count);
    this.skipped.push(skip);
    return this.room.shift() ?? 0;
  }
}

function open<Box>(create: (socket: Socket) => Box): { socket: FakeSocket; outbox: Box } {
  const socket = new FakeSocket();
  return { socket, outbox: create(socket as unknown as Socket) };
}

const tag = (name: string): number[] => [...Buffer.from(name)];

it('RequestOutbox puts page numbers behind what is received, up to 64', () => {
  const { socket, outbox } = open((given) => new RequestOutbox(given));
  expect([outbox.isEmpty, outbox.isFull]).toEqual([true, false]);
  outbox.add(0x102);
  outbox.add(9);
  expect([outbox.isEmpty, outbox.isFull]).toEqual([false, false]);
  outbox.send(2 ** 32 + 5);
  outbox.send(6);
  expect(socket.sent).toEqual([
    [...tag('PREQ'), 2, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, ...[2, 1, 0, 0], ...[9, 0, 0, 0]],
    [...tag('PREQ'), 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0],
  ]);
  for (let page = 0; page < 64; page++) outbox.add(page);
  expect([outbox.isEmpty, outbox.isFull]).toEqual([false, true]);
  outbox.send(0);
  expect([socket.sent.at(-1)?.length, outbox.isEmpty]).toEqual([16 + 64 * 4, true]);
});

it('UrgentOutbox sends a header and a page each, and says how many bytes', () => {
  const { socket, outbox } = open((given) => new UrgentOutbox(given, MEMORY, 2));
  outbox.add(0x0304_0506);
  outbox.add(7);
  expect([outbox.count, outbox.send(), outbox.count]).toEqual([2, 2 * 4104, 0]);
  outbox.add(8);
  expect(outbox.send()).toBe(4104);
  expect(socket.pages).toEqual([
    [[...tag('PAGE'), 6, 5, 4, 3], 0x0304_0506, 1],
    [[...tag('PAGE'), 7, 0, 0, 0], 7, 1],
    [[...tag('PAGE'), 8, 0, 0, 0], 8, 1],
  ]);
});

describe('ExtentOutbox', () => {
  it('sends an extent with its pages; of zeroes, and of the end, the header alone', () => {
    const { socket, outbox } = open((given) => new ExtentOutbox(given, MEMORY));
    socket.room = [16 + 64 * 4096, 16, 16];
    outbox.addExtent(0x0304_0506, 64);
    outbox.send();
    outbox.addZero(9, 3);
    outbox.send();
    outbox.addEnd();
    outbox.send();
    expect([socket.pages, outbox.isUnderWay]).toEqual([
      [
        [[...tag('PXTT'), 6, 5, 4, 3, 64, 0, 0, 0, 0, 0, 0, 0], 0x0304_0506, 64],
        [[...tag('ZERO'), 9, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0], 9, 0],
        [[...tag('PEND'), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0, 0],
      ],
      false,
    ]);
  });

  it('sends some frames together, and says what they are', () => {
    const { socket, outbox } = open((given) => new ExtentOutbox(given, MEMORY));
    expect([outbox.addExtent(7, 2), outbox.addZero(20, 3), outbox.addExtent(9, 1), outbox.addEnd()]).toEqual([
      ...[16 + 2 * 4096, 16, 16 + 4096, 16],
    ]);
    expect([outbox.pages, outbox.hasRoom, outbox.isUnderWay]).toEqual([6, true, true]);
    socket.room = [100, 64 + 3 * 4096 - 100];
    expect([outbox.send(), outbox.hasRoom, outbox.isUnderWay]).toEqual([100, false, true]);
    expect([outbox.send(), outbox.hasRoom, outbox.isUnderWay, outbox.pages]).toEqual([12_252, true, false, 0]);
    expect(
      socket.pages.map(([header, first, count]) => [String.fromCharCode(...header.slice(0, 4)), first, count]),
    ).toEqual([
      ['PXTT', 7, 2],
      ['ZERO', 20, 0],
      ['PXTT', 9, 1],
      ['PEND', 0, 0],
    ]);
    expect(socket.skipped).toEqual([0, 100]);
  });

  it('takes no more frames than it has room for', () => {
    const { outbox } = open((given) => new ExtentOutbox(given, MEMORY));
    let frames = 0;
    for (; outbox.hasRoom; frames++) outbox.addZero(frames, 1);
    expect([frames, outbox.pages]).toEqual([ExtentOutbox.FRAMES, ExtentOutbox.FRAMES]);
  });

  it('goes on where the socket stopped, until the frame is out', () => {
    const { socket, outbox } = open((given) => new ExtentOutbox(given, MEMORY));
    socket.room = [5, 0, 11 + 4096, 4095, 1];
    outbox.addExtent(1, 2);
    const sent = Array.from({ length: 5 }, () => [outbox.isUnderWay, outbox.send()]);
    expect([sent, outbox.isUnderWay, socket.skipped]).toEqual([
      [5, 0, 4107, 4095, 1].map((bytes) => [true, bytes]),
      false,
      [0, 5, 5, 4112, 8207],
    ]);
  });
});

it('ReceivedOutbox says how much there is', () => {
  const { socket, outbox } = open((given) => new ReceivedOutbox(given));
  outbox.send(3);
  outbox.send(2 ** 33 + 4);
  expect(socket.sent).toEqual([
    [...tag('PRCV'), 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
    [...tag('PRCV'), 0, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0],
  ]);
});

describe('TrialOutbox', () => {
  it.each<['urgent' | 'bulk', number[]]>([
    ['urgent', [...tag('PTRI'), 1, 0, 0, 0]],
    ['bulk', [...tag('PTRI'), 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]],
  ])('sends frames in the shape of the %s channel, each with the first pages there are', (kind, header) => {
    const { socket, outbox } = open((given) => new TrialOutbox(given, MEMORY, kind, 2, 1));
    const bytes = 2 * (header.length + 4096);
    expect([outbox.bytes, outbox.frameBytes]).toEqual([bytes, bytes / 2]);
    socket.room = [5, bytes - 5];
    expect([outbox.send(), outbox.isSent, outbox.send(), outbox.isSent]).toEqual([5, false, bytes - 5, true]);
    expect(socket.pages).toEqual([
      [header, 0, 1],
      [header, 0, 1],
    ]);
    expect(socket.skipped).toEqual([0, 5]);
  });
});

it('TriedOutbox answers a trial with a page, unless there was none in it', () => {
  const { socket, outbox } = open((given) => new TriedOutbox(given));
  outbox.send(64);
  outbox.send(0);
  expect(socket.sent[0]).toHaveLength(16 + 4096);
  expect(socket.sent.map((bytes) => bytes.slice(0, 16))).toEqual([
    [...tag('PTRD'), 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [...tag('PTRD'), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  ]);
});
