/** Files that secure a migration: a key, or a directory with certificates. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { describeError, PostcopyError } from '../errors.js';
import type { TlsFiles } from './security.js';

const FILE_BYTES_MAX = 256 * 1024;
const READABLE_BY_OTHERS = 0o004;

/** The key in a file's only line. Throws BAD_CONFIG if it cannot be read, or others can read it as well. */
export function readKeyFile(path: string): string {
  return readSecret(path).trim();
}

/** ca.pem, cert.pem and key.pem of a directory. Throws BAD_CONFIG if one cannot be used. */
export function readTlsDirectory(directory: string): TlsFiles {
  const files = {
    ca: readSmall(join(directory, 'ca.pem')),
    cert: readSmall(join(directory, 'cert.pem')),
    key: readSecret(join(directory, 'key.pem')),
  };
  try {
    if (new X509Certificate(files.cert).checkPrivateKey(createPrivateKey(files.key))) return files;
  } catch (error) {
    throw new PostcopyError('BAD_CONFIG', `the certificates in ${directory} cannot be used`, error);
  }
  throw new PostcopyError('BAD_CONFIG', `key.pem in ${directory} is not the key of cert.pem there`);
}

function readSecret(path: string): string {
  const text = readSmall(path);
  if ((statSync(path).mode & READABLE_BY_OTHERS) === 0) return text;
  throw new PostcopyError('BAD_CONFIG', `${path} is secret, and everybody can read it: chmod 600 ${path}`);
}

function readSmall(path: string): string {
  try {
    const status = statSync(path);
    if (!status.isFile() || status.size > FILE_BYTES_MAX) throw new Error('it is no small file');
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new PostcopyError('BAD_CONFIG', `cannot read ${path}: ${describeError(error)}`, error);
  }
}
