/**
 * Traces: which pages were touched, or asked for, and when. `migrate --trace` writes what the destination asked for; the
 * traces that are made up (replay/) tell of first touches. In memory a trace is three columns; in a file (version 1):
 *
 *   magic     8 bytes   "PCTRACE1"
 *   header    6 words of 32 bits, little-endian: kind (1 touches, 2 requests), pages of the VM, vCPUs, extents that hold
 *             data n, 0, 0
 *   extents   n times two words: first page, pages; ascending, and apart from each other
 *   records   up to the end of the file, each three numbers of 7 bits a byte, the least first, the top bit set in all
 *             bytes but the last: microseconds since the record before; vCPU; how far the page lies from that of the
 *             record before, doubled, and for a step backwards less one
 *
 * A record takes four to six bytes. What is read is checked: the writer may have been another program, or cut short.
 */
import { PostcopyError } from '../../errors.js';

const TRACE_KINDS = ['touches', 'requests'] as const;

export interface Trace {
  /**
   * touches: the first one of each page, by the time that its vCPU has worked, waits left out. requests: what the
   * destination asked for, by the source's clock; of the vCPU nothing is known.
   */
  kind: (typeof TRACE_KINDS)[number];
  /** Of the VM. */
  pages: number;
  vcpus: number;
  /** Pages that hold data: [first page, pages] pairs, ascending. */
  extents: Uint32Array;
  /** In the order of their times, in microseconds. */
  times: Float64Array;
  vcpuOf: Uint16Array;
  pageOf: Uint32Array;
}

export type TraceHead = Pick<Trace, 'kind' | 'pages' | 'vcpus' | 'extents'>;

const MAGIC = Buffer.from('PCTRACE1');
const HEADER_WORDS = 6;
const HEADER_BYTES = MAGIC.length + HEADER_WORDS * 4;
/** What can be read: 16 TiB of RAM, and some gigabytes of memory for the columns. */
const PAGES_MAX = 2 ** 32;
export const TRACE_VCPUS_MAX = 4096;
const TRACE_RECORDS_MAX = 1 << 27;
export const TRACE_BYTES_MAX = 2 ** 31 - 1;
/** Of one number of a record. */
const NUMBER_MAX = 2 ** 48;
const NUMBER_BYTES_MAX = 7;
export const RECORD_BYTES_MAX = 3 * NUMBER_BYTES_MAX;

export function encodeHead({ kind, pages, vcpus, extents }: TraceHead): Buffer {
  const words = Uint32Array.of(TRACE_KINDS.indexOf(kind) + 1, pages, vcpus, extents.length / 2, 0, 0);
  return Buffer.concat([MAGIC, Buffer.from(words.buffer), Buffer.from(extents.slice().buffer)]);
}

/** Makes records, each of which tells only how it differs from the one before. */
export class RecordWriter {
  #time = 0;
  #page = 0;

  /** Writes a record into `into` at `at`, with room for RECORD_BYTES_MAX; returns where it ends. */
  write(into: Uint8Array, at: number, time: number, vcpu: number, page: number): number {
    const micros = Math.min(NUMBER_MAX - 1, Math.max(0, Math.round(time) - this.#time));
    const step = page - this.#page;
    this.#time += micros;
    this.#page = page;
    const afterTime = putNumber(into, at, micros);
    const afterVcpu = putNumber(into, afterTime, vcpu);
    return putNumber(into, afterVcpu, step < 0 ? -2 * step - 1 : 2 * step);
  }
}

export function encodeTrace(trace: Trace): Buffer {
  const records = new Uint8Array(trace.times.length * RECORD_BYTES_MAX);
  const writer = new RecordWriter();
  let end = 0;
  trace.times.forEach((time, i) => {
    end = writer.write(records, end, time, trace.vcpuOf[i] as number, trace.pageOf[i] as number);
  });
  return Buffer.concat([encodeHead(trace), records.subarray(0, end)]);
}

/** Throws BAD_CONFIG. A record that is cut off at the end of the file is left out. */
export function decodeTrace(bytes: Uint8Array): Trace {
  const head = decodeHead(bytes);
  const from = HEADER_BYTES + head.extents.byteLength;
  const count = countRecords(bytes, from);
  const [times, vcpuOf, pageOf] = [new Float64Array(count), new Uint16Array(count), new Uint32Array(count)];
  const reader = new NumberReader(bytes, from);
  let time = 0;
  let page = 0;
  for (let i = 0; i < count; i++) {
    time += reader.next();
    const vcpu = reader.next();
    const step = reader.next();
    page += step % 2 === 1 ? -(step + 1) / 2 : step / 2;
    if (vcpu >= head.vcpus) throw badTrace(`record ${i} is of vCPU ${vcpu}, of ${head.vcpus}`);
    if (page < 0 || page >= head.pages) throw badTrace(`record ${i} is of page ${page}, of ${head.pages}`);
    times[i] = time;
    vcpuOf[i] = vcpu;
    pageOf[i] = page;
  }
  return { ...head, times, vcpuOf, pageOf };
}

function decodeHead(bytes: Uint8Array): TraceHead {
  const isOurs = MAGIC.equals(bytes.subarray(0, MAGIC.length));
  if (!isOurs || bytes.length < HEADER_BYTES) throw badTrace('it does not begin as one of version 1');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (index: number) => view.getUint32(MAGIC.length + index * 4, true);
  const kind = TRACE_KINDS[word(0) - 1];
  const [pages, vcpus, count] = [word(1), word(2), word(3)];
  if (kind === undefined) throw badTrace(`it is of kind ${word(0)}`);
  if (pages === 0 || pages > PAGES_MAX) throw badTrace(`its VM has ${pages} pages`);
  if (vcpus === 0 || vcpus > TRACE_VCPUS_MAX) throw badTrace(`its VM has ${vcpus} vCPUs`);
  if (count * 8 > bytes.length - HEADER_BYTES) throw badTrace('it ends within its list of pages that hold data');
  const extents = Uint32Array.from({ length: 2 * count }, (_, i) => word(HEADER_WORDS + i));
  requireExtents(extents, pages);
  return { kind, pages, vcpus, extents };
}

function requireExtents(extents: Uint32Array, pages: number): void {
  let end = 0;
  for (let i = 0; i < extents.length; i += 2) {
    const [first, count] = [extents[i] as number, extents[i + 1] as number];
    if (first < end || count === 0 || first + count > pages) {
      throw badTrace(`pages ${first} to ${first + count - 1} cannot hold data there, in a VM of ${pages} pages`);
    }
    end = first + count;
  }
}

/** Numbers end with a byte whose top bit is clear. */
function countRecords(bytes: Uint8Array, from: number): number {
  let numbers = 0;
  for (let at = from; at < bytes.length; at++) if ((bytes[at] as number) < 0x80) numbers++;
  const records = Math.floor(numbers / 3);
  if (records > TRACE_RECORDS_MAX)
    throw badTrace(`it has ${records} records; ${TRACE_RECORDS_MAX} at most can be read`);
  return records;
}

class NumberReader {
  constructor(
    readonly bytes: Uint8Array,
    private at: number,
  ) {}

  next(): number {
    let value = 0;
    for (let i = 0, scale = 1; i < NUMBER_BYTES_MAX; i++, scale *= 128) {
      const byte = this.bytes[this.at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw badTrace(`the number before byte ${this.at} is too long`);
  }
}

function putNumber(into: Uint8Array, at: number, value: number): number {
  let left = value;
  while (left >= 0x80) {
    into[at++] = (left % 128) | 0x80;
    left = Math.floor(left / 128);
  }
  into[at++] = left;
  return at;
}

function badTrace(why: string): PostcopyError {
  return new PostcopyError('BAD_CONFIG', `the trace cannot be read: ${why}`);
}
