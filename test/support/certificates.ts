/** Directories as --tls-dir takes them, with certificates of an authority that is made for the test. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

function openssl(...words: string[]): void {
  execFileSync('openssl', words, { stdio: 'pipe' });
}

const newKey = (path: string): void => openssl('genpkey', '-algorithm', 'ED25519', '-out', path);

export class Authority {
  readonly #directory = mkdtempSync(join(tmpdir(), 'postcopy-ca-'));
  readonly #certificate = join(this.#directory, 'ca.pem');
  readonly #key = join(this.#directory, 'ca-key.pem');

  constructor() {
    onTestFinished(() => rmSync(this.#directory, { recursive: true, force: true }));
    newKey(this.#key);
    const subject = ['-subj', '/CN=authority of a test'];
    openssl('req', '-x509', '-new', '-key', this.#key, ...subject, '-days', '2', '-out', this.#certificate);
  }

  /** `names`: subject alternative names, like `IP:127.0.0.1`. */
  issue(host: string, names: string): string {
    const directory = join(this.#directory, host);
    const at = (file: string): string => join(directory, file);
    mkdirSync(directory);
    cpSync(this.#certificate, at('ca.pem'));
    newKey(at('key.pem'));
    openssl('req', '-new', '-key', at('key.pem'), '-subj', `/CN=${host}`, '-out', at('request.pem'));
    writeFileSync(at('names'), `subjectAltName=${names}\n`);
    const by = ['-CA', this.#certificate, '-CAkey', this.#key, '-CAcreateserial'];
    const what = ['-in', at('request.pem'), '-extfile', at('names'), '-days', '2', '-out', at('cert.pem')];
    openssl('x509', '-req', ...what, ...by);
    return directory;
  }
}
