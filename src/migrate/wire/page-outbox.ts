/**
 * What goes out on a page channel: frames are put together here, in buffers that are made once, and sent. There is one
 * outbox for each kind of frame.
 */
import { PAGE_SIZE } from '../../memory/page-size.js';
import type { NativeMemory, Socket } from '../../native.js';
import {
  EXTENT_HEADER_BYTES,
  PAGE_HEADER_BYTES,
  putCount,
  RECEIVED_BYTES,
  REQUEST_HEADER_BYTES,
  TAG_END,
  TAG_EXTENT,
  TAG_LOST,
  TAG_PAGE,
  TAG_RECEIVED,
  TAG_REQUEST,
  TAG_TRIAL,
  TAG_TRIED,
  TAG_ZERO,
  triedBytes,
} from './page-frames.js';
import { REQUEST_PAGES_MAX } from './protocol.js';

/** REQUEST frames, at the destination. */
export class RequestOutbox {
  readonly #frame = new Uint8Array(REQUEST_HEADER_BYTES + REQUEST_PAGES_MAX * 4);
  readonly #words = new Uint32Array(this.#frame.buffer);
  #count = 0;

  constructor(readonly socket: Socket) {
    this.#words[0] = TAG_REQUEST;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** The frame takes no more pages: it has to be sent. */
  get isFull(): boolean {
    return this.#count === REQUEST_PAGES_MAX;
  }

  /** Asks for one more page. */
  add(page: number): void {
    this.#words[REQUEST_HEADER_BYTES / 4 + this.#count++] = page;
  }

  /** `received`: pages of this channel that are here. */
  send(received: number): void {
    this.#words[1] = this.#count;
    putCount(this.#words, 2, received);
    this.socket.send(this.#frame, 0, REQUEST_HEADER_BYTES + this.#count * 4);
    this.#count = 0;
  }
}

/** PAGE and LOST frames, at the source: as many as are sent at once. */
export class UrgentOutbox {
  readonly #headerWords: Uint32Array;
  readonly #headers: Uint8Array;
  readonly #extents: Uint32Array;
  #count = 0;
  #bytes = 0;

  constructor(
    readonly socket: Socket,
    readonly memory: NativeMemory,
    framesMax: number,
  ) {
    this.#headers = new Uint8Array(framesMax * PAGE_HEADER_BYTES);
    this.#headerWords = new Uint32Array(this.#headers.buffer);
    this.#extents = new Uint32Array(framesMax * 2);
  }

  /** Pages that wait to be sent. */
  get count(): number {
    return this.#count;
  }

  add(page: number): void {
    this.#add(TAG_PAGE, page, 1);
  }

  addLost(page: number): void {
    this.#add(TAG_LOST, page, 0);
  }

  #add(tag: number, page: number, pagesSent: number): void {
    const at = this.#count++ * 2;
    this.#headerWords[at] = tag;
    this.#headerWords[at + 1] = page;
    this.#extents[at] = page;
    this.#extents[at + 1] = pagesSent;
    this.#bytes += PAGE_HEADER_BYTES + pagesSent * PAGE_SIZE;
  }

  /** Sends all of them; returns their bytes. */
  send(): number {
    const [count, bytes] = [this.#count, this.#bytes];
    this.#count = this.#bytes = 0;
    this.socket.sendPages(this.memory, this.#headers, PAGE_HEADER_BYTES, this.#extents, count);
    return bytes;
  }
}

/** EXTENT, ZERO, LOST and END frames, at the source: some at a time, sent together as the socket takes them. */
export class ExtentOutbox {
  /** Frames at most: more would save no time to speak of. */
  static readonly FRAMES = 16;

  readonly #headers = new Uint8Array(ExtentOutbox.FRAMES * EXTENT_HEADER_BYTES);
  readonly #words = new Uint32Array(this.#headers.buffer);
  /** Of the frames under way: their pages in RAM, all that they tell of, their bytes, and how much of those is out. */
  readonly #extents = new Uint32Array(2 * ExtentOutbox.FRAMES);
  #count = 0;
  #pages = 0;
  #bytes = 0;
  #sent = 0;

  constructor(
    readonly socket: Socket,
    readonly memory: NativeMemory,
  ) {}

  /** A part of a frame is still to be sent. */
  get isUnderWay(): boolean {
    return this.#count > 0;
  }

  /** Another frame may go along: none of those under way has begun to be sent, and there is room. */
  get hasRoom(): boolean {
    return this.#sent === 0 && this.#count < ExtentOutbox.FRAMES;
  }

  /** Pages that the frames under way tell of. */
  get pages(): number {
    return this.#pages;
  }

  /** Each adds a frame, and returns its bytes. */
  addExtent(first: number, pages: number): number {
    return this.#add(TAG_EXTENT, first, pages, pages);
  }

  addZero(first: number, pages: number): number {
    return this.#add(TAG_ZERO, first, pages, 0);
  }

  addLost(first: number, pages: number): number {
    return this.#add(TAG_LOST, first, pages, 0);
  }

  addEnd(): number {
    return this.#add(TAG_END, 0, 0, 0);
  }

  /** Sends what the socket takes now of the frames under way; the bytes. */
  send(): number {
    const { socket, memory } = this;
    const sent = socket.trySendPages(
      memory,
      this.#headers,
      EXTENT_HEADER_BYTES,
      this.#extents,
      this.#count,
      this.#sent,
    );
    this.#sent += sent;
    if (this.#sent === this.#bytes) this.#count = this.#pages = this.#bytes = this.#sent = 0;
    return sent;
  }

  #add(tag: number, first: number, pages: number, pagesSent: number): number {
    const at = (this.#count * EXTENT_HEADER_BYTES) / 4;
    this.#words[at] = tag;
    this.#words[at + 1] = first;
    this.#words[at + 2] = pages;
    this.#extents[2 * this.#count] = first;
    this.#extents[2 * this.#count + 1] = pagesSent;
    this.#count++;
    this.#pages += pages;
    const bytes = EXTENT_HEADER_BYTES + pagesSent * PAGE_SIZE;
    this.#bytes += bytes;
    return bytes;
  }
}

/** RECEIVED frames, at the destination. */
export class ReceivedOutbox {
  readonly #frame = new Uint8Array(RECEIVED_BYTES);
  readonly #words = new Uint32Array(this.#frame.buffer);

  constructor(readonly socket: Socket) {
    this.#words[0] = TAG_RECEIVED;
  }

  /** `received`: pages of this channel that are here. */
  send(received: number): void {
    putCount(this.#words, 2, received);
    this.socket.send(this.#frame, 0, RECEIVED_BYTES);
  }
}

/** TRIAL frames, at the source: those of one kind of channel, each of as many pages, sent as the socket takes them. */
export class TrialOutbox {
  readonly #headers: Uint8Array;
  readonly #extents: Uint32Array;
  readonly #bytes: number;
  #sent = 0;

  constructor(
    readonly socket: Socket,
    readonly memory: NativeMemory,
    readonly kind: 'urgent' | 'bulk',
    readonly frames: number,
    readonly pages: number,
  ) {
    this.#headers = new Uint8Array(frames * this.#headerBytes);
    const words = new Uint32Array(this.#headers.buffer);
    this.#extents = new Uint32Array(2 * frames);
    for (let frame = 0; frame < frames; frame++) {
      const at = (frame * this.#headerBytes) / 4;
      words[at] = TAG_TRIAL;
      words[at + (kind === 'urgent' ? 1 : 2)] = pages;
      this.#extents[2 * frame + 1] = pages;
    }
    this.#bytes = frames * this.frameBytes;
  }

  get frameBytes(): number {
    return this.#headerBytes + this.pages * PAGE_SIZE;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isSent(): boolean {
    return this.#sent === this.#bytes;
  }

  /** Sends what the socket takes now; the bytes. */
  send(): number {
    const { socket, memory } = this;
    const sent = socket.trySendPages(memory, this.#headers, this.#headerBytes, this.#extents, this.frames, this.#sent);
    this.#sent += sent;
    return sent;
  }

  get #headerBytes(): number {
    return this.kind === 'urgent' ? PAGE_HEADER_BYTES : EXTENT_HEADER_BYTES;
  }
}

/** TRIED frames, at the destination. */
export class TriedOutbox {
  readonly #frame = new Uint8Array(triedBytes(1));
  readonly #words = new Uint32Array(this.#frame.buffer);

  constructor(readonly socket: Socket) {
    this.#words[0] = TAG_TRIED;
  }

  /** Answers a TRIAL of so many pages. */
  send(pages: number): void {
    this.#words[1] = pages;
    this.socket.send(this.#frame, 0, triedBytes(pages));
  }
}
