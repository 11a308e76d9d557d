/** One bulk channel at the destination: receives extents and installs them piece by piece as they come. */
import { PostcopyError } from '../../../errors.js';
import { PAGE_SIZE } from '../../../memory/page-size.js';
import { native, POLLIN, type Socket } from '../../../native.js';
import { putSource, type ChannelTask } from '../../../threads/channel-loop.js';
import type { LinkSwitch } from '../../../threads/link-switch.js';
import {
  EXTENT_HEADER_BYTES,
  putCount,
  RECEIVED_BYTES,
  TAG_END,
  TAG_EXTENT,
  TAG_RECEIVED,
  TAG_ZERO,
} from '../../wire/page-frames.js';
import { EXTENT_PAGES_MAX, HANDED_OVER_LINK_TIMEOUT_MS } from '../../wire/protocol.js';
import type { PageInstaller } from './page-installer.js';

/** The header lies before the pages so that these are aligned; behind them is room for the header that follows. */
const PAGES_AT = PAGE_SIZE;
const HEADER_AT = PAGES_AT - EXTENT_HEADER_BYTES;
/** Pages installed in one step at most: a fault that has come meanwhile waits that long. */
const STEP_PAGES = 32;

export class BulkReceiver implements ChannelTask {
  readonly #staging = new Uint8Array(PAGES_AT + EXTENT_PAGES_MAX * PAGE_SIZE + EXTENT_HEADER_BYTES);
  readonly #headerWords = new Uint32Array(this.#staging.buffer, HEADER_AT, EXTENT_HEADER_BYTES / 4);
  readonly #received = new Uint8Array(RECEIVED_BYTES);
  readonly #receivedWords = new Uint32Array(this.#received.buffer);
  /** Bytes of the frame under way that are here, its header's included. */
  #have = 0;
  /** Of its pages (none before its header is whole): how many there are, and how many are installed. */
  #pages = 0;
  #installed = 0;
  #ended = false;
  #lastAt = native.monotonicMicros();

  constructor(
    readonly socket: Socket,
    readonly installer: PageInstaller,
    readonly link: LinkSwitch,
  ) {
    this.#receivedWords[0] = TAG_RECEIVED;
  }

  /** Many pages are received at once, which costs a fraction of receiving them piece by piece, and then installed. */
  step(): boolean {
    if (this.#install()) return true;
    const got = this.socket.receive(this.#staging, HEADER_AT + this.#have, 0, this.#wanted(), 0);
    if (got < 0) return false;
    if (got === 0) {
      if (this.link.stopped) return false;
      throw new PostcopyError('LINK_LOST', 'the source closed a bulk channel');
    }
    this.#have += got;
    this.#lastAt = native.monotonicMicros();
    this.#takeHeaders();
    return true;
  }

  sources(set: Int32Array, at: number): number {
    return putSource(set, at, this.socket.fd, POLLIN);
  }

  idle(): void {
    const now = native.monotonicMicros();
    if (this.#have === 0) this.#lastAt = now;
    if (now - this.#lastAt > HANDED_OVER_LINK_TIMEOUT_MS * 1000) {
      throw new PostcopyError(
        'LINK_LOST',
        `the source stopped in the middle of a page ${HANDED_OVER_LINK_TIMEOUT_MS / 1000} s ago`,
      );
    }
  }

  /** The rest of this frame, and the header of the next one. */
  #wanted(): number {
    return this.#frameBytes() + EXTENT_HEADER_BYTES - this.#have;
  }

  #frameBytes(): number {
    return this.#pages === 0 ? 0 : EXTENT_HEADER_BYTES + this.#pages * PAGE_SIZE;
  }

  #takeHeaders(): void {
    while (this.#pages === 0 && this.#have >= EXTENT_HEADER_BYTES) this.#header();
  }

  /** A whole header. Frames without pages are done with it. */
  #header(): void {
    if (this.#ended) throw new PostcopyError('BAD_PEER', 'the source sent more on a bulk channel after its end');
    const tag = this.#headerWords[0]!;
    const first = this.#headerWords[1]!;
    const count = this.#headerWords[2]!;
    if (tag === TAG_EXTENT || tag === TAG_ZERO) {
      if (count === 0 || count > EXTENT_PAGES_MAX) {
        throw new PostcopyError('BAD_PEER', `the source sent an extent of ${count} pages; ${EXTENT_PAGES_MAX} at most`);
      }
      this.installer.expect(first, count);
      if (tag === TAG_EXTENT) {
        this.#pages = count;
        this.#installed = 0;
        return;
      }
      this.installer.zero(first, count);
      this.#acknowledge();
    } else if (tag === TAG_END) this.#ended = true;
    else throw new PostcopyError('BAD_PEER', 'the source sent something else than an extent of pages');
    this.#dropFrame(EXTENT_HEADER_BYTES);
  }

  /** Installs pages that are whole; behind the last of the frame, tells the source. False if there are none. */
  #install(): boolean {
    if (this.#pages === 0) return false;
    const whole = Math.min(this.#pages, Math.floor((this.#have - EXTENT_HEADER_BYTES) / PAGE_SIZE));
    const count = Math.min(STEP_PAGES, whole - this.#installed);
    if (count === 0) return false;
    const first = this.#headerWords[1]! + this.#installed;
    this.installer.install(first, count, this.#staging, PAGES_AT + this.#installed * PAGE_SIZE);
    this.#installed += count;
    if (this.#installed === this.#pages) {
      this.#acknowledge();
      this.#dropFrame(this.#frameBytes());
      this.#takeHeaders();
    }
    return true;
  }

  #dropFrame(bytes: number): void {
    this.#staging.copyWithin(HEADER_AT, HEADER_AT + bytes, HEADER_AT + this.#have);
    this.#have -= bytes;
    this.#pages = 0;
  }

  #acknowledge(): void {
    putCount(this.#receivedWords, 2, this.installer.installed);
    this.socket.send(this.#received, 0, RECEIVED_BYTES);
  }
}
