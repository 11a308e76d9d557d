import { Agent, request, type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import { PostcopyError } from '../errors.js';
import { asError, asMeasure, asProgress, asSummary, asVmStatus, badAnswer } from './answers.js';
import { readJsonLines } from './line-reader.js';
import {
  CONSOLE_PATH,
  CONSOLE_PROTOCOL,
  LIMIT_PATH,
  MEASURE_PATH,
  MIGRATE_PATH,
  PAUSE_PATH,
  RECOVER_PATH,
  RESUME_PATH,
  STOP_PATH,
  VM_PATH,
} from './protocol.js';
import { socketPath } from './runtime-directory.js';
import {
  STOP_TIMEOUT_MS,
  type LimitRequest,
  type MeasureRequest,
  type MigrateRequest,
  type ResumeRequest,
  type StopRequest,
  type VmStatus,
  type WriteMeasure,
} from '../vm/service.js';
import type { ConsolePort } from '../console/console-port.js';
import type { MigrationProgress, MigrationSummary } from '../migrate/report/summary.js';

/** A process that is alive answers its status at once; a slow, emulated host takes its time. */
const STATUS_TIMEOUT_MS = 10_000;
/** Pausing waits for vCPUs that wait for pages of the other host. */
const ACTION_TIMEOUT_MS = 60_000;
/** A migration says nothing while it connects, and ends by itself. */
const NO_TIMEOUT = 0;

/** Longest answer that is taken, of those that come whole. */
const ANSWER_CHARACTERS_MAX = 1024 * 1024;
const NO_ANSWER = 'ETIMEDOUT';
const OK = 200;

type Method = 'GET' | 'POST' | 'DELETE';

/** Codes of connect(2) when no process listens on the socket. */
const NOBODY_THERE = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTDIR']);

/** Talks to the process of one VM on this host. Every method throws PostcopyError: what the VM says, or NO_SUCH_VM. */
export class VmClient {
  readonly #name: string;
  readonly #socketPath: string;
  /** Of its own, a connection for each request, so that close() ends them. */
  readonly #agent = new Agent();

  constructor(name: string, path: string = socketPath(name)) {
    this.#name = name;
    this.#socketPath = path;
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

  /**
   * Resolves also when the migration fails: see the summary's status. If the VM's process dies meanwhile, NO_SUCH_VM, and
   * LINK_LOST if the VM may be at the destination by then.
   */
  async migrate(request: MigrateRequest, onProgress: (progress: MigrationProgress) => void): Promise<MigrationSummary> {
    const answer = await this.#request('POST', MIGRATE_PATH, NO_TIMEOUT, request);
    let last: MigrationProgress | undefined;
    try {
      for await (const line of readJsonLines(answer)) {
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

  /** Resolves when the migration has ended and the guest goes on here; WRONG_STATE if there is none, or it is too late. */
  async cancelMigration(): Promise<void> {
    await this.#json('DELETE', MIGRATE_PATH, ACTION_TIMEOUT_MS);
  }

  /** How fast the migration may send from now on; WRONG_STATE if there is none. */
  async limit(request: LimitRequest): Promise<void> {
    await this.#json('POST', LIMIT_PATH, ACTION_TIMEOUT_MS, request);
  }

  /** How many pages the guest writes: what a forecast is made from. */
  async measure(request: MeasureRequest = {}): Promise<WriteMeasure> {
    return asMeasure(await this.#json('POST', MEASURE_PATH, ACTION_TIMEOUT_MS, request));
  }

  /** A migration whose link is broken looks for the destination at once; WRONG_STATE if there is none. */
  async recover(address?: { host: string; port: number }): Promise<void> {
    await this.#json('POST', RECOVER_PATH, ACTION_TIMEOUT_MS, address);
  }

  /** A console of the guest, both directions. The caller closes it. */
  async console(port: ConsolePort = 'serial'): Promise<Duplex> {
    const asked = this.#ask('GET', `${CONSOLE_PATH}?port=${port}`, STATUS_TIMEOUT_MS, {
      connection: 'Upgrade',
      upgrade: CONSOLE_PROTOCOL,
    });
    const upgraded = new Promise<Duplex>((resolve) => {
      asked.once('upgrade', (_answer, stream, early) => {
        stream.setTimeout(NO_TIMEOUT);
        if (early.length > 0) stream.unshift(early);
        resolve(stream);
      });
    });
    asked.end();
    const refused = this.#answer(asked).then(async (answer) => {
      throw await this.#refusal(answer);
    });
    return Promise.race([upgraded, refused]);
  }

  async close(): Promise<void> {
    this.#agent.destroy();
  }

  async #json(method: Method, path: string, timeoutMs: number, body: object = {}): Promise<unknown> {
    return this.#body(await this.#request(method, path, timeoutMs, method === 'POST' ? body : undefined));
  }

  /** Throws the error of an answer that is one. */
  async #request(method: Method, path: string, timeoutMs: number, body?: object): Promise<IncomingMessage> {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const asked = this.#ask(method, path, timeoutMs, headers);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
    const answer = await this.#answer(asked);
    if (answer.statusCode === OK) return answer;
    throw await this.#refusal(answer);
  }

  /** `timeoutMs`: for the answer to begin, and between its parts. */
  #ask(method: string, path: string, timeoutMs: number, headers: OutgoingHttpHeaders): ClientRequest {
    const asked = request({
      ...{ socketPath: this.#socketPath, agent: this.#agent },
      ...{ method, path, headers, timeout: timeoutMs },
    });
    let answer: IncomingMessage | undefined;
    asked.once('response', (message) => (answer = message));
    asked.once('timeout', () => {
      (answer ?? asked).destroy(Object.assign(new Error(`no answer for ${timeoutMs} ms`), { code: NO_ANSWER }));
    });
    return asked;
  }

  async #answer(asked: ClientRequest): Promise<IncomingMessage> {
    try {
      return await new Promise((resolve, reject) => asked.once('response', resolve).once('error', reject));
    } catch (error) {
      throw this.#meaning(error);
    }
  }

  async #refusal(answer: IncomingMessage): Promise<PostcopyError> {
    return asError(await this.#body(answer)) ?? badAnswer(`HTTP status ${answer.statusCode}`);
  }

  async #body(answer: IncomingMessage): Promise<unknown> {
    let text = '';
    try {
      for await (const part of answer.setEncoding('utf8')) {
        text += part as string;
        if (text.length > ANSWER_CHARACTERS_MAX) throw badAnswer('it does not end');
      }
    } catch (error) {
      throw error instanceof PostcopyError ? error : this.#meaning(error);
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
    if (code === NO_ANSWER) {
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
    return new PostcopyError(handedOver(last) ? 'LINK_LOST' : 'NO_SUCH_VM', message, cause);
  }
}

/** By what was told last: of a process that dies in the hand-over, only the other host knows more. */
function handedOver(last: MigrationProgress | undefined): boolean {
  return last?.phase === 'handing-over' || last?.phase === 'pulling' || last?.phase === 'complete';
}

function noSuchVm(name: string): PostcopyError {
  return new PostcopyError('NO_SUCH_VM', `no VM named ${name} runs on this host`, undefined, [{ kind: 'no-such-vm' }]);
}

function hasSummary(line: unknown): line is { summary: unknown } {
  return typeof line === 'object' && line !== null && 'summary' in line;
}
