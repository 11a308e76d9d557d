/**
 * How deep a MessagePack value nests, found without building it. A decoder makes room for an array before it has seen
 * its elements, so a few hundred bytes of arrays in arrays, each said to be long, would take all memory of the host.
 * https://github.com/msgpack/msgpack/blob/master/spec.md
 */

/** Payload bytes behind the types 0xc0 to 0xdf that hold no other value and no length. */
const FIXED: Record<number, number> = {
  ...{ 0xc0: 0, 0xc1: 0, 0xc2: 0, 0xc3: 0, 0xca: 4, 0xcb: 8 },
  ...{ 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8 },
  ...{ 0xd4: 2, 0xd5: 3, 0xd6: 5, 0xd7: 9, 0xd8: 17 }, // fixext: its type, then its data
};
/** bin, ext and str: bytes of the length, and bytes beside the payload. */
const SIZED: Record<number, readonly [lengthBytes: number, extra: number]> = {
  ...{ 0xc4: [1, 0], 0xc5: [2, 0], 0xc6: [4, 0], 0xc7: [1, 1], 0xc8: [2, 1], 0xc9: [4, 1] },
  ...{ 0xd9: [1, 0], 0xda: [2, 0], 0xdb: [4, 0] },
};
/** array and map: bytes of the length, and values to each of its elements. */
const CONTAINERS: Record<number, readonly [lengthBytes: number, values: number]> = {
  ...{ 0xdc: [2, 1], 0xdd: [4, 1], 0xde: [2, 2], 0xdf: [4, 2] },
};

/** What one type byte and its length say: bytes to pass over, and values that are inside. */
interface Head {
  bytes: number;
  values: number;
}

/** False as soon as arrays and maps nest deeper than `most`. Bytes that are no MessagePack are the decoder's to refuse. */
export function nestsAtMost(bytes: Uint8Array, most: number): boolean {
  const left: number[] = [];
  for (let at = 0; at < bytes.length;) {
    const head = readHead(bytes, at);
    at += head.bytes;
    if (left.length > 0) left[left.length - 1]! -= 1;
    if (head.values > 0) left.push(head.values);
    if (left.length > most) return false;
    while (left.at(-1) === 0) left.pop();
  }
  return true;
}

function readHead(bytes: Uint8Array, at: number): Head {
  const type = bytes[at]!;
  if (type < 0x80 || type >= 0xe0) return { bytes: 1, values: 0 }; // fixint
  if (type < 0x90) return { bytes: 1, values: (type & 0x0f) * 2 }; // fixmap
  if (type < 0xa0) return { bytes: 1, values: type & 0x0f }; // fixarray
  if (type < 0xc0) return { bytes: 1 + (type & 0x1f), values: 0 }; // fixstr
  const sized = SIZED[type];
  if (sized !== undefined) return { bytes: 1 + sized[0] + readLength(bytes, at + 1, sized[0]) + sized[1], values: 0 };
  const container = CONTAINERS[type];
  if (container === undefined) return { bytes: 1 + FIXED[type]!, values: 0 };
  return { bytes: 1 + container[0], values: readLength(bytes, at + 1, container[0]) * container[1] };
}

/** Big-endian; bytes beyond the end count as zero. */
function readLength(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let i = 0; i < length; i++) value = value * 0x100 + (bytes[at + i] ?? 0);
  return value;
}
