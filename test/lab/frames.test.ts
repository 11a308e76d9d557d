import { expect, test } from 'vitest';
import { encodeFrame, FrameReader, FrameType } from '../support/lab/frames.js';

// The other end is C (test/fixtures/lab-host/frames.h): the bytes are the contract.
const START = [0x06, 0, 0, 0, 0x02, 0x01, 0, 0, 0x01, 0, 0, 0, 0x00, 0x74, 0x72, 0x75, 0x65, 0x21];
const EXIT = [0x04, 0, 0, 0, 0x03, 0, 0, 0, 0x13, 0, 0, 0, 0x89, 0, 0, 0];

test('a frame is its length, process, type and payload, little-endian', () => {
  const payload = Buffer.concat([Buffer.of(0), Buffer.from('true!')]);
  expect([...encodeFrame(0x102, FrameType.Start, payload)]).toEqual(START);
  expect([...encodeFrame(7, FrameType.Stdin)]).toEqual([0, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0]);
});

test('frames are read whole, wherever the stream is cut', () => {
  const stream = Buffer.from([...START, ...EXIT]);
  for (let cut = 0; cut <= stream.length; cut++) {
    const reader = new FrameReader();
    const frames = [...reader.push(stream.subarray(0, cut)), ...reader.push(stream.subarray(cut))];
    expect(frames.map(({ process, type }) => ({ process, type }))).toEqual([
      { process: 0x102, type: FrameType.Start },
      { process: 3, type: FrameType.Exit },
    ]);
    expect(frames[0]?.payload.toString()).toBe('\0true!');
    expect(frames[1]?.payload.readInt32LE()).toBe(0x89);
  }
});

test('a length that no agent sends is refused', () => {
  expect(() => new FrameReader().push(Buffer.from([1, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0]))).toThrow(/1048577 bytes/);
});
