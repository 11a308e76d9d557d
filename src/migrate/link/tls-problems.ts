/** Why a connection through TLS did not come about, in words of who asked for it. */
import { PostcopyError } from '../../errors.js';
import type { TlsSecurity } from './tls.js';

const REFUSING_ALERTS =
  /ALERT_(ILLEGAL_PARAMETER|DECRYPT_ERROR|HANDSHAKE_FAILURE|UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_REQUIRED|ACCESS_DENIED|UNKNOWN_PSK_IDENTITY|INTERNAL_ERROR|INSUFFICIENT_SECURITY|CERTIFICATE_UNKNOWN|CERTIFICATE_EXPIRED|UNSUPPORTED_CERTIFICATE)/;
const NOT_TLS = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|UNSUPPORTED_PROTOCOL|RECORD_LAYER_FAILURE|NO_PROTOCOLS/;
const BROKE_OFF = new Set(['ECONNRESET', 'EPIPE']);

export function dialProblem(error: unknown, peer: string, security: TlsSecurity): PostcopyError {
  if (error instanceof PostcopyError) return error;
  const code = String((error as NodeJS.ErrnoException).code ?? '');
  if (REFUSING_ALERTS.test(code)) return refused(peer, security);
  if (BROKE_OFF.has(code) || NOT_TLS.test(code)) {
    const message = `${peer} broke off when it was asked to prove who it is: it waits for what is not encrypted, or is no postcopy`;
    return new PostcopyError('BAD_PEER', message, undefined, [{ kind: 'no-tls' }]);
  }
  if (security.kind === 'tls' && isAboutCertificate(code)) {
    return new PostcopyError('BAD_PEER', `the certificate of ${peer} is not believed`, error);
  }
  return new PostcopyError('UNREACHABLE', `the connection to ${peer} broke before it was secured`, error);
}

function refused(peer: string, security: TlsSecurity): PostcopyError {
  if (security.kind === 'key') {
    return new PostcopyError('REFUSED', `${peer} does not wait with this key`, undefined, [{ kind: 'key-refused' }]);
  }
  const message = `${peer} does not believe the certificate of this end, or does not wait with certificates`;
  return new PostcopyError('REFUSED', message);
}

/** X509_V_ERR_... as Node names them, and its own about names. */
function isAboutCertificate(code: string): boolean {
  return /CERT|ISSUER|SIGNATURE|SELF_SIGNED|CHAIN|ALTNAME|CRL|PURPOSE|HOSTNAME/.test(code);
}
