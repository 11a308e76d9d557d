/**
 * The first 32 bytes of every connection, and of every answer to it. Little-endian:
 *
 *   0  magic, "POSTCOPY"
 *   8  protocol version, 16 bits
 *  10  channel, 8 bits
 *  11  index of a bulk channel, or the verdict in an answer, 8 bits
 *  12  generation of the connection, 32 bits: 0 for the first of a migration, greater when the ends meet again
 *  16  migration id, 16 random bytes
 */
import { PostcopyError } from '../../errors.js';
import { isSpoken, PROTOCOL_VERSION, PROTOCOL_VERSIONS, type ProtocolVersion } from './protocol.js';

export const PREAMBLE_BYTES = 32;
export const MIGRATION_ID_BYTES = 16;

const MAGIC = new TextEncoder().encode('POSTCOPY');

const CHANNELS = ['control', 'urgent', 'bulk'] as const;
export type Channel = (typeof CHANNELS)[number];

/**
 * welcome: go on; version: we speak another one (in the answer); stranger: no such migration here; busy: another VM comes;
 * secured: only what comes through TLS is heard (link/tls.ts).
 */
export const VERDICTS = ['welcome', 'version', 'stranger', 'busy', 'secured'] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface Preamble {
  version: number;
  channel: Channel;
  index: number;
  generation: number;
  id: Uint8Array;
}

function encode({ version, channel, index, generation, id }: Preamble): Uint8Array {
  const bytes = new Uint8Array(PREAMBLE_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC, 0);
  view.setUint16(8, version, true);
  bytes[10] = CHANNELS.indexOf(channel);
  bytes[11] = index;
  view.setUint32(12, generation, true);
  bytes.set(id, 16);
  return bytes;
}

export function encodePreamble(
  version: ProtocolVersion,
  channel: Channel,
  index: number,
  id: Uint8Array,
  generation = 0,
): Uint8Array {
  return encode({ version, channel, index, generation, id });
}

/** In the version that was asked in, which the other end takes for an answer; in ours if we do not speak that one. */
export function encodeVerdict(asked: Preamble, verdict: Verdict): Uint8Array {
  const version = isSpoken(asked.version) ? asked.version : PROTOCOL_VERSION;
  return encode({ ...asked, version, index: VERDICTS.indexOf(verdict) });
}

/** Throws BAD_PEER if these 32 bytes do not come from a postcopy. The version is not judged here. */
export function decodePreamble(bytes: Uint8Array): Preamble {
  if (bytes.length !== PREAMBLE_BYTES || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw new PostcopyError('BAD_PEER', 'the other end does not speak the postcopy protocol');
  }
  const channel = CHANNELS[bytes[10]!];
  if (channel === undefined) throw new PostcopyError('BAD_PEER', `preamble names an unknown channel, ${bytes[10]}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    version: view.getUint16(8, true),
    channel,
    index: bytes[11]!,
    generation: view.getUint32(12, true),
    id: bytes.slice(16, PREAMBLE_BYTES),
  };
}

/** The version to ask in again, if the answer to one that was asked in `version` says so. Throws as decodePreamble(). */
export function versionToFallBackTo(bytes: Uint8Array, version: ProtocolVersion): ProtocolVersion | undefined {
  const answer = decodePreamble(bytes);
  const isOlder = VERDICTS[answer.index] === 'version' && answer.version < version;
  return isOlder && isSpoken(answer.version) ? answer.version : undefined;
}

/** Throws unless the answer is a welcome, in the version that was asked in. */
export function checkVerdict(bytes: Uint8Array, peer: string, version: ProtocolVersion): void {
  const answer = decodePreamble(bytes);
  const verdict = VERDICTS[answer.index];
  if (answer.version !== version || verdict === 'version') {
    throw new PostcopyError(
      'BAD_PEER',
      `${peer} speaks version ${answer.version} of the postcopy protocol, this end versions ${PROTOCOL_VERSIONS.join(' and ')}: install the same release on both hosts`,
    );
  }
  if (verdict === 'secured') {
    throw new PostcopyError('REFUSED', `${peer} takes no VM without the key that it waits with`, undefined, [
      { kind: 'key-wanted' },
    ]);
  }
  if (verdict === 'busy') throw new PostcopyError('REFUSED', `${peer} is taking another VM already`);
  if (verdict !== 'welcome') throw new PostcopyError('BAD_PEER', `${peer} does not know this migration`);
}
