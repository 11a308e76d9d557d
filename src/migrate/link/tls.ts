/**
 * TLS for the connections of a migration. Version 1.3 only. A key that both ends have is an external pre-shared key with an
 * ephemeral exchange (PSK-DHE): who does not have it cannot be either end, and recorded traffic stays closed when it becomes
 * known. With certificates each end proves itself to the other; the source also wants to find the host that it connects to
 * in the certificate there.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:crypto';
import { isIP } from 'node:net';
import type { ConnectionOptions, TLSSocket, TlsOptions } from 'node:tls';
import type { Security } from '../../configure/security.js';
import { PostcopyError } from '../../errors.js';

/** That of a connection that is not secured goes another way. */
export type TlsSecurity = Exclude<Security, { kind: 'plain' }>;

/** First byte of whatever a TLS client sends: a handshake record. */
export const TLS_HANDSHAKE = 0x16;

/** First of what the destination sends: it has seen the source's proof. In TLS 1.3 the source's handshake is over before. */
export const LET_IN = Uint8Array.of(0x2b);
export const LET_IN_RECORDS = 1;

const IDENTITY = 'postcopy';

const COMMON = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  // That of external keys by their hash (RFC 8446, 4.2.11), and one that every host has instructions for.
  ciphers: 'TLS_AES_128_GCM_SHA256',
  // Nothing is resumed: each connection proves anew who it is.
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const;

export function serverOptions(security: TlsSecurity, handshakeTimeoutMs: number): TlsOptions {
  const common = { ...COMMON, handshakeTimeout: handshakeTimeoutMs };
  if (security.kind === 'tls') return { ...common, ...security.files, requestCert: true, rejectUnauthorized: true };
  const psk = preSharedKey(security.key);
  // No certificate: whoever does not offer the key fails in the handshake.
  return { ...common, pskCallback: (_socket, identity) => (identity === IDENTITY ? psk : null) };
}

/** `host`: as the operator named it. */
export function clientOptions(security: TlsSecurity, host: string): ConnectionOptions {
  if (security.kind === 'tls') {
    return { ...COMMON, ...security.files, host, ...(isIP(host) === 0 ? { servername: host } : {}) };
  }
  const psk = preSharedKey(security.key);
  return {
    ...COMMON,
    ca: [], // no certificate stands in for the key
    pskCallback: () => ({ psk, identity: IDENTITY }),
    checkServerIdentity: () => undefined,
  };
}

/** Throws BAD_PEER if the server has come through the handshake without the key: then a certificate was believed instead. */
export function requireProof(security: TlsSecurity, socket: TLSSocket): void {
  if (security.kind === 'tls' ? socket.authorized : socket.isSessionReused()) return;
  throw new PostcopyError('BAD_PEER', 'the other end did not prove that it has the key');
}

/** 256 bits, whatever the length of the key. */
function preSharedKey(key: string): Buffer {
  return createHash('sha256').update('postcopy migration key\0').update(key).digest();
}
