import type { Duplex } from 'node:stream';
import { Client, type Dispatcher } from 'undici';
import { PostcopyError } from '../errors.js';
import { asError, asProgress, asSummary, asVmStatus, badAnswer } from './answers.js';
import { readJsonLines } from './line-reader.js';
import {
  CONSOLE_PATH,
  CONSOLE_PROTOCOL,
  MIGRATE_PATH,
  PAUSE_PATH,
  RESUME_PATH,
  STOP_PATH,
  VM_PATH,
} from './protocol.js';
import { socketPath } from './runtime-directory.js';
import {
  STOP_TIMEOUT_MS,
  type ConsolePort,
  type MigrateRequest,
  type MigrationProgress,
  type MigrationSummary,
  type ResumeRequest,
  type StopRequest,
  type VmStatus,
} from './service.js';

/** A process that is alive answers its status at once; a slow, emulated host takes its time. */
const STATUS_TIMEOUT_MS = 10_000;
/** Pausing waits for vCPUs that wait for pages of the other host. */
const ACTION_TIMEOUT_MS = 60_000;
/** A migration says nothing while it connects, and ends by itself. */
const NO_TIMEOUT = 0;

/** Codes of connect(2) when no process listens on the socket. */
const NOBODY_THERE = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTDIR']);

/** Talks to the process of one VM on this host. Every method throws PostcopyError: what the VM says, or NO_SUCH_VM. */
export class VmClient {
  readonly #name: string;
  readonly #http: Client;

  constructor(name: string, path: string = socketPath(name)) {
    this.#name = name;
    // The host part of the URL is only a form: the connection goes to the socket.
    this.#http = new Client('http://localhost', { socketPath: path, pipelining: 1 });
  }

  async status(): Promise<VmStatus> {
    return asVmStatus(await this.#json('GET', VM_PATH, STATUS_TIMEOUT_MS));
  }

  async pause(): Promise<void> {
    await this.#json('POST', PAUSE_PATH, ACTION_TIMEOUT_MS);
  }

  async resume(request: ResumeRequest = {}): Promise<void> {
    await this.#json('POST', RESUME_PATH, ACTION_TIMEOUT_MS, request);
  }

  /** Resolves when the VM has ended. */
  async stop(request: StopRequest = {}): Promise<void> {
    const guestMs = request.force === true ? 0 : (request.timeoutMs ?? STOP_TIMEOUT_MS);
    await this.#json('POST', STOP_PATH, guestMs + ACTION_TIMEOUT_MS, request);
  }

  /** Resolves also when the migration fails: see the summary's status. UNREACHABLE if the VM's process dies meanwhile. */
  async migrate(request: MigrateRequest, onProgress: (progress: MigrationProgress) => void): Promise<MigrationSummary> {
    const answer = await this.#request('POST', MIGRATE_PATH, NO_TIMEOUT, request);
    let last: MigrationProgress | undefined;
    try {
      for await (const line of readJsonLines(answer.body)) {
        const error = asError(line);
        if (error !== undefined) throw error;
        if (hasSummary(line)) return asSummary(line.summary);
        onProgress((last = asProgress(line)));
      }
    } catch (error) {
      throw error instanceof PostcopyError ? error : this.#diedMigrating(last, error);
    }
    throw this.#diedMigrating(last);
  }

  /** A console of the guest, both directions. The caller closes it. */
  async console(port: ConsolePort = 'serial'): Promise<Duplex> {
    // undici drops the body of an answer other than 101, and the reason with it: this asks for the reason first.
    await this.status();
    try {
      const path = `${CONSOLE_PATH}?port=${port}`;
      const upgraded = await this.#http.upgrade({ path, method: 'GET', protocol: CONSOLE_PROTOCOL });
      return upgraded.socket;
    } catch (error) {
      throw this.#meaning(error);
    }
  }

  async close(): Promise<void> {
    await this.#http.destroy();
  }

  async #json(method: 'GET' | 'POST', path: string, timeoutMs: number, body: object = {}): Promise<unknown> {
    const answer = await this.#request(method, path, timeoutMs, method === 'POST' ? body : undefined);
    return this.#body(answer);
  }

  /** Throws the error of an answer that is one. */
  async #request(
    method: 'GET' | 'POST',
    path: string,
    timeoutMs: number,
    body?: object,
  ): Promise<Dispatcher.ResponseData> {
    let answer: Dispatcher.ResponseData;
    try {
      answer = await this.#http.request({
        method,
        path,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
    } catch (error) {
      throw this.#meaning(error);
    }
    if (answer.statusCode === 200) return answer;
    throw asError(await this.#body(answer)) ?? badAnswer(`HTTP status ${answer.statusCode}`);
  }

  async #body(answer: Dispatcher.ResponseData): Promise<unknown> {
    let text: string;
    try {
      text = await answer.body.text();
    } catch (error) {
      throw this.#meaning(error);
    }
    try {
      return JSON.parse(text);
    } catch {
      throw badAnswer('not JSON');
    }
  }

  /** What a failed connection says about the VM. */
  #meaning(error: unknown): PostcopyError {
    const code = String((error as NodeJS.ErrnoException | null)?.code);
    if (NOBODY_THERE.has(code)) return noSuchVm(this.#name);
    if (code === 'EACCES' || code === 'EPERM') {
      return new PostcopyError('HOST_LACKS', `not permitted to talk to the VM ${this.#name}: run as root`, error);
    }
    if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT' || code === 'UND_ERR_CONNECT_TIMEOUT') {
      return new PostcopyError('UNREACHABLE', `the process of the VM ${this.#name} does not answer`, error);
    }
    return new PostcopyError(
      'UNREACHABLE',
      `lost the connection to the process of the VM ${this.#name}: it has ended`,
      error,
    );
  }

  #diedMigrating(last: MigrationProgress | undefined, cause?: unknown): PostcopyError {
    const when =
      last === undefined ? 'before it said anything' : `in phase ${last.phase}, ${last.pagesLeft} pages left`;
    const message = `the process of the VM ${this.#name} ended during the migration (${when})`;
    return new PostcopyError('UNREACHABLE', message, cause);
  }
}

export function noSuchVm(name: string): PostcopyError {
  return new PostcopyError('NO_SUCH_VM', `no VM named ${name} runs on this host: "postcopy list" shows those that do`);
}

function hasSummary(line: unknown): line is { summary: unknown } {
  return typeof line === 'object' && line !== null && 'summary' in line;
}
