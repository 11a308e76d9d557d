/**
 * The lab's control channel with a virtual host's agent (test/fixtures/lab-host), over a virtio serial port:
 *
 *   u32 payload length, u32 process, u32 type, payload        all little-endian
 *
 * The test side numbers the processes that it starts; one number is one process, its input, output and end.
 */
export enum FrameType {
  /** To the host: a byte of START_ flags, then a command for `sh -c`. */
  Start = 1,
  /** To the host: input for the process; empty: end of input. */
  Stdin = 2,
  /** To the host: u32, a signal for the process and its group. */
  Signal = 3,
  /** To the host: u64, CLOCK_REALTIME in nanoseconds. */
  SetTime = 4,
  /** From the host: the agent is up. */
  Ready = 16,
  Stdout = 17,
  Stderr = 18,
  /** From the host: i32, the exit code, or 128 + the signal's number. */
  Exit = 19,
}

export const START_TERMINAL = 1;

const HEADER_BYTES = 12;
/** The agent takes no more in one frame. */
export const PAYLOAD_LIMIT = 1 << 20;

export interface Frame {
  process: number;
  type: number;
  payload: Buffer;
}

export function encodeFrame(process: number, type: FrameType, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(payload.length, 0);
  header.writeUInt32LE(process, 4);
  header.writeUInt32LE(type, 8);
  return Buffer.concat([header, payload]);
}

/** Cuts a byte stream into frames, whatever pieces it comes in. */
export class FrameReader {
  #left = Buffer.alloc(0);

  push(bytes: Buffer): Frame[] {
    this.#left = Buffer.concat([this.#left, bytes]);
    const frames: Frame[] = [];
    for (let frame = this.#take(); frame !== undefined; frame = this.#take()) frames.push(frame);
    return frames;
  }

  #take(): Frame | undefined {
    if (this.#left.length < HEADER_BYTES) return undefined;
    const length = this.#left.readUInt32LE(0);
    if (length > PAYLOAD_LIMIT) throw new Error(`The virtual host sent a frame of ${length} bytes: not the agent's.`);
    if (this.#left.length < HEADER_BYTES + length) return undefined;
    const payload = this.#left.subarray(HEADER_BYTES, HEADER_BYTES + length);
    const frame = { process: this.#left.readUInt32LE(4), type: this.#left.readUInt32LE(8), payload };
    this.#left = this.#left.subarray(HEADER_BYTES + length);
    return frame;
  }
}
