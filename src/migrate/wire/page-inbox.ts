/**
 * What has come on a page channel and nobody has taken yet. An inbox receives into one buffer that is made once, hands
 * out one frame after the other, and keeps what is not whole. There is one for each kind of frame, with the frame's
 * fields by name; a frame is valid until the next one is asked for, or more is received.
 */
import { PostcopyError } from '../../errors.js';
import { PAGE_SIZE } from '../../memory/page-size.js';
import type { Socket } from '../../native.js';
import {
  EXTENT_HEADER_BYTES,
  getCount,
  PAGE_FRAME_BYTES,
  PAGE_HEADER_BYTES,
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
import { EXTENT_PAGES_MAX, REQUEST_PAGES_MAX } from './protocol.js';

/** Tells whether a channel that closes was closed by ourselves. */
export interface Stopped {
  readonly stopped: boolean;
}

interface InboxOptions {
  /** Who closed which channel, as errors say it. */
  closed: string;
  headerBytes: number;
  /** Bytes of the buffer. */
  room: number;
  /** Where in the buffer a frame begins, once more is received: what its content is aligned by. */
  origin?: number;
  /** A frame is handed out with its header, and its body is there piece by piece. */
  inPieces?: boolean;
}

/**
 * Of frames that come in pieces: short ones come in numbers, and are received together. What follows them lies unaligned,
 * but a call for each would cost more than that.
 */
const SHORT_BYTES = EXTENT_HEADER_BYTES + 4 * PAGE_SIZE;
const TOGETHER_BYTES = 64 * 1024;

abstract class PageInbox {
  /** The buffer; frames say where in it their content lies. */
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #closed: string;
  readonly #headerBytes: number;
  readonly #origin: number;
  readonly #inPieces: boolean;
  /** Of the frame handed out, or of the next one. */
  #at: number;
  /** Of the frame handed out; 0 if none is. */
  #frameBytes = 0;
  /** Of the one before, once it is over. */
  #bytesBefore = 0;
  /** Of what has come. */
  #end: number;

  constructor(
    readonly socket: Socket,
    readonly signal: Stopped,
    { closed, headerBytes, room, origin = 0, inPieces = false }: InboxOptions,
  ) {
    this.bytes = new Uint8Array(room);
    this.#words = new Uint32Array(this.bytes.buffer);
    this.#closed = closed;
    this.#headerBytes = headerBytes;
    this.#origin = origin;
    this.#inPieces = inPieces;
    this.#at = this.#end = origin;
  }

  /** The length of the frame whose header is whole. Throws BAD_PEER if the other end may send no such frame. */
  protected abstract frameBytes(): number;

  /** Nothing is here but what was taken: the stream stands between two frames. */
  get isEmpty(): boolean {
    return this.#end === this.#at;
  }

  /** Bytes of the frame handed out, or of what is kept, that are here. */
  protected get have(): number {
    return this.#end - this.#at;
  }

  /** Where the frame begins in the buffer. */
  protected get at(): number {
    return this.#at;
  }

  /** A word of the frame. */
  protected word(index: number): number {
    return this.#words[this.#at / 4 + index] as number;
  }

  /** A count of two words. */
  protected longWord(index: number): number {
    return getCount(this.#words, this.#at / 4 + index);
  }

  /**
   * Takes what is there without waiting. False if nothing is, or if we have stopped the channel ourselves; throws LINK_LOST
   * if the other end closed it.
   */
  receive(): boolean {
    this.#moveToFront();
    const got = this.socket.receive(this.bytes, this.#end, 0, this.#wanted(), 0);
    if (got > 0) {
      this.#end += got;
      return true;
    }
    if (got < 0 || this.signal.stopped) return false;
    throw new PostcopyError('LINK_LOST', this.#closed);
  }

  /**
   * Goes on to the next frame; false if it is not here yet. Throws BAD_PEER for one that must not come, as soon as its
   * header is here.
   */
  next(): boolean {
    this.#at += this.#frameBytes;
    if (this.#frameBytes > 0) this.#bytesBefore = this.#frameBytes;
    this.#frameBytes = 0;
    if (this.have < this.#headerBytes) return false;
    const bytes = this.frameBytes();
    if (!this.#inPieces && this.have < bytes) return false;
    this.#frameBytes = bytes;
    return true;
  }

  /** As much as fits; of a frame that comes in pieces, its rest and the header of the next: more would lie unaligned. */
  #wanted(): number {
    if (!this.#inPieces) return this.bytes.length - this.#end;
    const bytes = this.#frameBytes || this.#bytesBefore;
    if (bytes > 0 && bytes <= SHORT_BYTES) return TOGETHER_BYTES - this.have;
    return this.#frameBytes + this.#headerBytes - this.have;
  }

  #moveToFront(): void {
    if (this.#at === this.#origin) return;
    const have = this.have;
    if (have > 0) this.bytes.copyWithin(this.#origin, this.#at, this.#end);
    this.#at = this.#origin;
    this.#end = this.#origin + have;
  }
}

/** REQUEST frames, at the source. */
export class RequestInbox extends PageInbox {
  constructor(socket: Socket, signal: Stopped) {
    super(socket, signal, {
      closed: 'the destination closed the urgent channel',
      headerBytes: REQUEST_HEADER_BYTES,
      room: 64 * 1024,
    });
  }

  /** How many pages are asked for; none if the frame only acknowledges. */
  get count(): number {
    return this.word(1);
  }

  /** Pages of this channel that the destination has. */
  get received(): number {
    return this.longWord(2);
  }

  page(index: number): number {
    return this.word(REQUEST_HEADER_BYTES / 4 + index);
  }

  protected override frameBytes(): number {
    if (this.word(0) !== TAG_REQUEST || this.count > REQUEST_PAGES_MAX) {
      throw new PostcopyError('BAD_PEER', 'the destination sent something else than a page request');
    }
    return REQUEST_HEADER_BYTES + this.count * 4;
  }
}

/** PAGE, LOST and TRIAL frames, at the destination. */
export class UrgentInbox extends PageInbox {
  /** Frames that are received at once at most. */
  static readonly FRAMES = 32;

  constructor(socket: Socket, signal: Stopped) {
    super(socket, signal, {
      closed: 'the source closed the urgent channel',
      headerBytes: PAGE_HEADER_BYTES,
      room: UrgentInbox.FRAMES * PAGE_FRAME_BYTES,
    });
  }

  get isTrial(): boolean {
    return this.word(0) === TAG_TRIAL;
  }

  /** The page has no content. */
  get isLost(): boolean {
    return this.word(0) === TAG_LOST;
  }

  /** Of a TRIAL: how many it holds. */
  get page(): number {
    return this.word(1);
  }

  /** Where in the buffer the page's content is. */
  get contentAt(): number {
    return this.at + PAGE_HEADER_BYTES;
  }

  protected override frameBytes(): number {
    if (this.isTrial && this.page <= 1) return PAGE_HEADER_BYTES + this.page * PAGE_SIZE;
    if (this.isLost) return PAGE_HEADER_BYTES;
    if (this.word(0) !== TAG_PAGE) {
      throw new PostcopyError('BAD_PEER', 'the source sent something else than a page on the urgent channel');
    }
    return PAGE_FRAME_BYTES;
  }
}

/** EXTENT, ZERO, LOST, END and TRIAL frames, at the destination. Headers lie before a page's boundary, so that pages are aligned. */
export class ExtentInbox extends PageInbox {
  constructor(socket: Socket, signal: Stopped) {
    super(socket, signal, {
      closed: 'the source closed a bulk channel',
      headerBytes: EXTENT_HEADER_BYTES,
      origin: PAGE_SIZE - EXTENT_HEADER_BYTES,
      room: PAGE_SIZE + EXTENT_PAGES_MAX * PAGE_SIZE + EXTENT_HEADER_BYTES,
      inPieces: true,
    });
  }

  /** TAG_EXTENT, TAG_ZERO, TAG_LOST, TAG_END or TAG_TRIAL. */
  get tag(): number {
    return this.word(0);
  }

  get first(): number {
    return this.word(1);
  }

  get count(): number {
    return this.word(2);
  }

  /** Of an EXTENT or a TRIAL: its pages that are whole. */
  get pagesHere(): number {
    return Math.min(this.count, Math.floor((this.have - EXTENT_HEADER_BYTES) / PAGE_SIZE));
  }

  /** Where in the buffer the content of the extent's page of that index is. */
  contentAt(index: number): number {
    return this.at + EXTENT_HEADER_BYTES + index * PAGE_SIZE;
  }

  protected override frameBytes(): number {
    const { tag, count } = this;
    if (tag === TAG_END) return EXTENT_HEADER_BYTES;
    if (tag === TAG_TRIAL && count <= EXTENT_PAGES_MAX) return EXTENT_HEADER_BYTES + count * PAGE_SIZE;
    if (tag !== TAG_EXTENT && tag !== TAG_ZERO && tag !== TAG_LOST) {
      throw new PostcopyError('BAD_PEER', 'the source sent something else than an extent of pages');
    }
    if (count === 0 || count > EXTENT_PAGES_MAX) {
      throw new PostcopyError('BAD_PEER', `the source sent an extent of ${count} pages; ${EXTENT_PAGES_MAX} at most`);
    }
    return EXTENT_HEADER_BYTES + (tag === TAG_EXTENT ? count * PAGE_SIZE : 0);
  }
}

/** RECEIVED frames, at the source. */
export class ReceivedInbox extends PageInbox {
  constructor(socket: Socket, signal: Stopped) {
    super(socket, signal, {
      closed: 'the destination closed a bulk channel',
      headerBytes: RECEIVED_BYTES,
      room: RECEIVED_BYTES * 256,
    });
  }

  /** Pages of this channel that the destination has. */
  get received(): number {
    return this.longWord(2);
  }

  protected override frameBytes(): number {
    if (this.word(0) !== TAG_RECEIVED) {
      throw new PostcopyError('BAD_PEER', 'the destination sent something else than RECEIVED on a bulk channel');
    }
    return RECEIVED_BYTES;
  }
}

/** TRIED frames, at the source, before the channel has anything else. */
export class TriedInbox extends PageInbox {
  constructor(socket: Socket, signal: Stopped) {
    super(socket, signal, {
      closed: 'the destination closed a page channel',
      headerBytes: triedBytes(0),
      room: 16 * triedBytes(1),
    });
  }

  /** Of the TRIAL that it answers. */
  get pages(): number {
    return this.word(1);
  }

  protected override frameBytes(): number {
    if (this.word(0) !== TAG_TRIED || this.pages > EXTENT_PAGES_MAX) {
      throw new PostcopyError('BAD_PEER', 'the destination sent something else than the answer to a trial');
    }
    return triedBytes(this.pages);
  }
}
