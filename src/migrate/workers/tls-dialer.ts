/**
 * The dialer of a source whose connections are secured: a worker that connects whatever descriptor it is given with the
 * destination, through TLS, once the destination has proved who it is.
 */
import { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { within } from '../../basics/within.js';
import { formatAddress, type Address } from '../../configure/address.js';
import { describeError } from '../../errors.js';
import { native } from '../../native.js';
import type { Tell } from '../../threads/messages.js';
import { serveJob, workerPort } from '../../threads/serve-job.js';
import { FD_BYTES, RELAYED, TAKES_FD, type TlsDialerJob, type TlsDialerNews } from '../link/dialer.js';
import { connectTo } from '../link/connect-to.js';
import { boundTcp } from '../link/tcp-limits.js';
import { Relays } from '../link/relay.js';
import { readFirst } from '../link/read-first.js';
import { KernelTls } from '../link/kernel-tls.js';
import { clientOptions, LET_IN, LET_IN_RECORDS, requireProof, type TlsSecurity } from '../link/tls.js';
import { dialProblem } from '../link/tls-problems.js';
import { FIRST_ANSWER_TIMEOUT_MS as HANDSHAKE_TIMEOUT_MS } from '../wire/protocol.js';

class TlsDialer {
  readonly #job: TlsDialerJob;
  readonly #tell: Tell<TlsDialerNews>;
  readonly #line: Socket;
  readonly #relays = new Relays();
  readonly #ended = new AbortController();
  /** The address that answered first, for all connections. */
  #address: Address;
  #unread = Buffer.alloc(0);

  constructor(job: TlsDialerJob, tell: Tell<TlsDialerNews>) {
    this.#job = job;
    this.#address = { host: job.host, port: job.port };
    this.#tell = tell;
    this.#line = new Socket({ fd: job.line });
    this.#line.on('error', () => {});
    this.#line.on('data', (part) => this.#hear(part));
  }

  stop(): void {
    this.#line.destroy();
    this.#ended.abort();
    void this.#relays.over().then(() => workerPort().close());
  }

  #hear(part: Buffer): void {
    const all = Buffer.concat([this.#unread, part]);
    const whole = all.length - (all.length % FD_BYTES);
    this.#unread = all.subarray(whole);
    for (let at = 0; at < whole; at += FD_BYTES) {
      const asked = all.readUInt32LE(at);
      void this.#dial(asked % TAKES_FD, asked >= TAKES_FD);
    }
  }

  async #dial(fd: number, takesFd: boolean): Promise<void> {
    try {
      const { secure, kernelTls } = await this.#connect();
      const taken = takesFd ? await takeOver(secure, kernelTls) : undefined;
      if (takesFd) tellFd(fd, taken);
      if (taken === undefined) this.#relays.join(secure, fd);
      else native.closeFd(fd);
      this.#tell({ type: 'dialled', fd });
    } catch (error) {
      const problem = dialProblem(error, formatAddress(this.#job), this.#job.security);
      native.closeFd(fd);
      const { code, facts } = problem;
      this.#tell({ type: 'not-dialled', fd, code, message: describeError(problem), facts });
    }
  }

  async #connect(): Promise<{ secure: TLSSocket; kernelTls: KernelTls }> {
    const tcp = await connectTo(this.#address, this.#ended.signal);
    this.#address = { ...this.#address, host: tcp.remoteAddress ?? this.#address.host };
    boundTcp(tcp);
    try {
      const kernelTls = new KernelTls('client');
      const secure = connectTls({ socket: tcp, ...clientOptions(this.#job.security, this.#job.host) });
      secure.on('keylog', (line: Buffer) => kernelTls.hear(line));
      secure.on('session', () => kernelTls.tickets++);
      await within(handshake(secure, this.#job.security), HANDSHAKE_TIMEOUT_MS, () => {
        throw new Error(`no proof of who it is for ${HANDSHAKE_TIMEOUT_MS / 1000} s`);
      });
      return { secure, kernelTls };
    } catch (error) {
      tcp.destroy();
      throw error;
    }
  }
}

/** When all is heard that has come: nothing follows before this end has spoken. */
async function takeOver(secure: TLSSocket, kernelTls: KernelTls): Promise<number | undefined> {
  await nextTurn();
  return kernelTls.take(secure, { sent: 0, received: LET_IN_RECORDS + kernelTls.tickets });
}

/** What whoever asked for a connection hears first. The descriptor is closed if nobody is there any more. */
function tellFd(local: number, taken = RELAYED): void {
  try {
    native.writeFd(local, new Uint8Array(Uint32Array.of(taken).buffer));
  } catch (error) {
    if (taken !== RELAYED) native.closeFd(taken);
    throw error;
  }
}

/** Both ends have proved who they are. */
function handshake(secure: TLSSocket, security: TlsSecurity): Promise<void> {
  return new Promise((resolve, reject) => {
    secure.on('error', reject);
    secure.once('close', () => reject(Object.assign(new Error('it was closed'), { code: 'ECONNRESET' })));
    secure.once('secureConnect', () => {
      try {
        requireProof(security, secure);
      } catch (error) {
        reject(error as Error);
        return;
      }
      readFirst(secure, LET_IN.length, (first) => {
        secure.unshift(first.subarray(LET_IN.length));
        resolve();
      });
    });
  });
}

serveJob<TlsDialerJob, TlsDialerNews>((job, tell) => {
  native.setThread('tls-dialer', 0);
  const dialer = new TlsDialer(job, tell);
  workerPort().once('message', () => dialer.stop());
});
