/**
 * The keys that a TLS 1.3 connection has agreed on, as Node tells them (NSS key log lines): whoever has them and knows how many
 * records have passed can go on with the connection, as the kernel does (kernel-tls.ts). TLS_AES_128_GCM_SHA256 only.
 */
import { createHmac } from 'node:crypto';

const KEY_BYTES = 16;
const NONCE_BYTES = 12;
/** Of key logs: CLIENT_TRAFFIC_SECRET_0 <client random> <secret>. */
const LINE = /^(CLIENT|SERVER)_TRAFFIC_SECRET_0 [0-9a-f]+ ([0-9a-f]{64})\s*$/;

type Side = 'CLIENT' | 'SERVER';

export class TrafficKeys {
  readonly #secrets = new Map<Side, Buffer>();

  /** A line of the connection's key log. */
  hear(line: Buffer): void {
    const [, side, secret] = LINE.exec(line.toString('latin1')) ?? [];
    if (side !== undefined && secret !== undefined) this.#secrets.set(side as Side, Buffer.from(secret, 'hex'));
  }

  /** Key and nonce, one behind the other, of what this side sends; undefined if they were not told. */
  of(side: Side): Uint8Array | undefined {
    const secret = this.#secrets.get(side);
    if (secret === undefined) return undefined;
    return Buffer.concat([expandLabel(secret, 'key', KEY_BYTES), expandLabel(secret, 'iv', NONCE_BYTES)]);
  }
}

/** HKDF-Expand-Label with an empty context (RFC 8446, 7.1), of no more bytes than one block of HKDF-Expand has. */
function expandLabel(secret: Uint8Array, label: string, bytes: number): Uint8Array {
  const text = Buffer.from(`tls13 ${label}`);
  const info = [Buffer.from([bytes >> 8, bytes & 0xff, text.length]), text, Buffer.from([0, 1])];
  return createHmac('sha256', secret).update(Buffer.concat(info)).digest().subarray(0, bytes);
}
