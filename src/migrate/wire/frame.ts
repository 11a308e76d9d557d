/**
 * Control messages as frames: length of the body (32 bits, little-endian), tag (32 bits), body in MessagePack.
 */
import { decode, Encoder } from '@msgpack/msgpack';
import { z } from 'zod';
import { PostcopyError } from '../../errors.js';
import { MESSAGES, type Body, type Message, type MessageType } from './message.js';
import { nestsAtMost } from './nesting.js';
import { fieldsBeyond, PROTOCOL_VERSION, type ProtocolVersion } from './protocol.js';

const FRAME_HEADER_BYTES = 8;
/** RAM and STATE hold a RAM map; that of 1 TiB at its most scattered is below this. */
const FRAME_BODY_BYTES_MAX = 1024 * 1024 * 1024;
/** Any other message. */
const SMALL_BODY_BYTES_MAX = 1024 * 1024;
/** Any message before ACCEPT: until then the other end may be anybody. HELLO of 16 vCPUs has half of that. */
const GREETING_BODY_BYTES_MAX = 64 * 1024;
/** Beyond what any message holds: a body that claims more is refused before memory is taken for it. */
const NESTING_MAX = 16;
const ELEMENTS_MAX = 64 * 1024;
/** Of a body that is refused, those that are told. */
const ISSUES_MAX = 5;

const BIG: ReadonlySet<MessageType> = new Set(['state', 'ram', 'standing']);

const BY_TAG = new Map((Object.keys(MESSAGES) as MessageType[]).map((type) => [MESSAGES[type].tag as number, type]));

/** Room for STATE with its first pages: a buffer that grows while the guest stands still would cost it time. */
const ENCODED_BYTES = 256 * 1024;
const encoder = new Encoder({ initialBufferSize: ENCODED_BYTES });

export function encodeMessage<T extends MessageType>(
  type: T,
  body: Body<T>,
  version: ProtocolVersion = PROTOCOL_VERSION,
): Uint8Array {
  const encoded = encoder.encodeSharedRef(bodyOf(version, type, body)); // ours until the next one
  const frame = new Uint8Array(FRAME_HEADER_BYTES + encoded.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, encoded.length, true);
  view.setUint32(4, MESSAGES[type].tag, true);
  frame.set(encoded, FRAME_HEADER_BYTES);
  return frame;
}

/** Cuts a byte stream, however it is split, into messages. Throws BAD_PEER at the first that breaks the protocol. */
export class FrameDecoder {
  readonly #version: ProtocolVersion;
  /** Nothing is agreed on yet, and memory is taken for small messages only. */
  isGreeting = false;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(version: ProtocolVersion = PROTOCOL_VERSION) {
    this.#version = version;
  }

  /** Messages that are whole with this chunk. */
  push(chunk: Uint8Array): Message[] {
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
    const messages: Message[] = [];
    for (;;) {
      if (this.#bytes < FRAME_HEADER_BYTES) return messages;
      const header = this.#peek(FRAME_HEADER_BYTES);
      const view = new DataView(header.buffer, header.byteOffset);
      const length = view.getUint32(0, true);
      const type = checkHeader(length, view.getUint32(4, true), this.isGreeting);
      if (this.#bytes < FRAME_HEADER_BYTES + length) return messages;
      this.#take(FRAME_HEADER_BYTES);
      messages.push(decodeBody(this.#version, type, this.#take(length)));
    }
  }

  #peek(length: number): Uint8Array {
    const first = this.#parts[0]!;
    if (first.length >= length) return first.subarray(0, length);
    // Only for a header that arrives in pieces: join what there is.
    this.#parts = [concat(this.#parts, this.#bytes)];
    return this.#parts[0]!.subarray(0, length);
  }

  #take(length: number): Uint8Array {
    if (this.#parts.length > 1) this.#parts = [concat(this.#parts, this.#bytes)];
    const all = this.#parts[0] ?? new Uint8Array(0);
    this.#parts = [all.subarray(length)];
    this.#bytes -= length;
    return all.subarray(0, length);
  }
}

function checkHeader(length: number, tag: number, isGreeting: boolean): MessageType {
  const type = BY_TAG.get(tag);
  if (type === undefined) throw new PostcopyError('BAD_PEER', `message of unknown type ${tag}`);
  const most = isGreeting ? GREETING_BODY_BYTES_MAX : BIG.has(type) ? FRAME_BODY_BYTES_MAX : SMALL_BODY_BYTES_MAX;
  if (length > most) throw new PostcopyError('BAD_PEER', `${type} message of ${length} bytes; ${most} at most`);
  return type;
}

function decodeBody(version: ProtocolVersion, type: MessageType, bytes: Uint8Array): Message {
  let decoded: unknown;
  try {
    if (!nestsAtMost(bytes, NESTING_MAX)) throw new RangeError(`it nests deeper than ${NESTING_MAX}`);
    decoded = decode(bytes, { maxArrayLength: ELEMENTS_MAX, maxMapLength: ELEMENTS_MAX });
  } catch (error) {
    throw new PostcopyError('BAD_PEER', `${type} message is no MessagePack of ours`, error);
  }
  const checked = MESSAGES[type].body.safeParse(bodyOf(version, type, decoded));
  if (!checked.success) throw new PostcopyError('BAD_PEER', `bad ${type} message: ${firstIssues(checked.error)}`);
  return { type, body: checked.data } as Message;
}

/** What is wrong with a body, as far as anybody would read: a stranger makes the list as long as he likes. */
function firstIssues({ issues }: z.ZodError): string {
  return z.prettifyError(new z.ZodError(issues.slice(0, ISSUES_MAX)));
}

/** The body without what this version does not have. */
function bodyOf(version: ProtocolVersion, type: MessageType, body: unknown): unknown {
  const beyond = version === PROTOCOL_VERSION ? [] : fieldsBeyond(version, type);
  if (beyond.length === 0 || !isMap(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([field]) => !beyond.includes(field)));
}

function isMap(body: unknown): body is Record<string, unknown> {
  return typeof body === 'object' && body !== null && Object.getPrototypeOf(body) === Object.prototype;
}

function concat(parts: Uint8Array[], bytes: number): Uint8Array {
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
