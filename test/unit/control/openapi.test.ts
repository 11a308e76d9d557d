/** openapi.json against the server: every route, every answer that it promises. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openApiDocument } from '../../../src/control/openapi.js';
import { startControlServer, type ControlServer } from '../../../src/control/server.js';
import { PostcopyError, type ErrorCode } from '../../../src/errors.js';
import { Collected } from '../console/socket-pair.js';
import { FakeVm, PROGRESS, STATUS, SUMMARY } from './fake-vm.js';

interface Response {
  content?: Record<string, { schema: object }>;
  'x-error-codes'?: ErrorCode[];
}
interface Operation {
  requestBody?: { content: Record<string, { schema: object }> };
  responses: Record<string, Response>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
}

const file = JSON.parse(
  readFileSync(new URL('../../../src/control/openapi.json', import.meta.url), 'utf8'),
) as Document;
const operations = Object.entries(file.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
);

/** Routes that fastify was told of, `GET /path`. */
const { routes } = vi.hoisted(() => ({ routes: new Set<string>() }));
vi.mock('fastify', async (original) => {
  const { fastify } = await original<typeof import('fastify')>();
  const listed = (options: object) =>
    fastify(options).addHook('onRoute', ({ method, url }) => {
      if (method !== 'HEAD') routes.add(`${String(method)} ${url}`);
    });
  return { fastify: listed };
});

let directory: string;
let path: string;
let vm: FakeVm;
let there: boolean;
let server: ControlServer;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postcopy-openapi-'));
  path = join(directory, 'vm1.sock');
  vm = new FakeVm();
  there = true;
  server = await startControlServer({ path, service: () => (there ? vm : undefined) });
});
afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

/** Fields that the file does not describe are allowed to clients, not to this server. */
function sealed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sealed);
  if (typeof value !== 'object' || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, sealed(inner)]));
  return 'properties' in copy ? { ...copy, additionalProperties: false } : copy;
}

const ajv = new Ajv2020({ strict: false });
ajv.addSchema({ $id: 'api', ...(sealed(file) as object) });

function problemsOf(schema: object, value: unknown): unknown {
  const { $ref } = schema as { $ref?: string };
  const check = ajv.compile($ref === undefined ? schema : { $ref: `api${$ref}` });
  return check(value) ? [] : check.errors;
}

interface Sent {
  body?: string;
  type?: string;
  headers?: Record<string, string>;
}

/** Asks, and holds the answer against the file. Returns its status and its last value. */
async function ask({ method, path: url, operation }: (typeof operations)[number], sent: Sent = {}) {
  const request = httpRequest({ socketPath: path, method, path: url, agent: false, headers: sent.headers ?? {} });
  if (sent.body !== undefined) request.setHeader('content-type', sent.type ?? 'application/json');
  request.end(sent.body);
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  const status = answer.statusCode!;
  const text = await new Collected(answer).untilClosed();
  const promised = operation.responses[String(status)];
  expect(promised, `status ${status} is not in the file: ${text}`).toBeDefined();
  const type = answer.headers['content-type']!.split(';')[0]!;
  const { schema } = promised!.content![type]!;
  const values = (type === 'application/json' ? [text] : text.trimEnd().split('\n')).map((it) => JSON.parse(it));
  for (const value of values) expect(problemsOf(schema, value)).toEqual([]);
  return { status, value: values.at(-1) as unknown, promised: promised! };
}

const named = operations.map((it) => [`${it.method} ${it.path}`, it] as const);
const isConsole = (url: string) => url === '/v1/console';
const GOOD_BODIES: Record<string, string> = {
  '/v1/vm/migrate': '{"host":"host2","port":7000}',
  '/v1/vm/limit': '{"bandwidth":null}',
};
const goodBody = (url: string) => GOOD_BODIES[url] ?? '{}';
const sendTo = ({ method, path: url }: { method: string; path: string }): Sent =>
  method === 'POST' ? { body: goodBody(url) } : {};

it('openapi.json is current: else run `npm run schema`', () => {
  expect(file).toEqual(JSON.parse(JSON.stringify(openApiDocument())));
});

it('has every route of the server, and no other', () => {
  expect(operations.map((it) => `${it.method} ${it.path}`).sort()).toEqual([...routes].sort());
});

it('is what the server gives out', async () => {
  const it = operations.find(({ path: url }) => url === '/v1/openapi.json')!;
  expect((await ask(it)).value).toEqual(file);
});

describe.each(named.filter(([, it]) => !isConsole(it.path)))('%s', (_name, it_) => {
  it('answers as promised', async () => {
    vm.onMigrate = async (_request, onProgress) => {
      onProgress(PROGRESS);
      return { ...SUMMARY, error: { code: 'REFUSED', message: 'no room' } };
    };
    vm.current = {
      ...{ ...STATUS, problem: 'x', listen: 'a:1', peer: 'b:2', migration: PROGRESS },
      disks: [{ id: 'root', path: '/a', readonly: false }],
      nets: [{ id: 'net0', mac: '52:54:00:00:00:01', tap: 'tap0' }],
    };
    expect((await ask(it_, sendTo(it_))).status).toBe(200);
  });

  const refusals = Object.entries(it_.operation.responses).flatMap(([status, { 'x-error-codes': codes = [] }]) =>
    codes.filter((code) => code !== 'BAD_CONFIG').map((code) => [status, code] as const),
  );
  it.each(refusals)('refuses with %s %s', async (status, code) => {
    const refusal = new PostcopyError(code, 'why');
    vm.refusal = refusal;
    vm.status = () => {
      throw refusal;
    };
    vm.onMigrate = () => Promise.reject(refusal);
    const answer = await ask(it_, sendTo(it_));
    expect(String(answer.status)).toBe(status);
    expect(answer.value).toEqual({ error: { code, message: 'why' } });
  });

  it('while the VM is being built', async () => {
    there = false;
    const { status } = await ask(it_, sendTo(it_));
    expect(status).toBe(it_.path === '/v1/openapi.json' ? 200 : 409);
  });
});

describe.each(named.filter(([, it]) => it.method === 'POST'))('%s', (_name, it_) => {
  it('refuses a body that is none', async () => {
    for (const body of ['{', '[]', '{"unheard-of":1}']) expect((await ask(it_, { body })).status).toBe(400);
    expect((await ask(it_, { body: 'x=1', type: 'application/x-www-form-urlencoded' })).status).toBe(415);
    expect(vm.calls).toEqual([]);
  });
});

it('a migration that breaks on the way ends with a line of the file', async () => {
  vm.onMigrate = async (_request, onProgress) => {
    onProgress(PROGRESS);
    await new Promise((resolve) => setTimeout(resolve, 5));
    throw new PostcopyError('INTERNAL', 'broken');
  };
  const migrate = operations.find(({ path: url }) => url.endsWith('/migrate'))!;
  expect((await ask(migrate, sendTo(migrate))).value).toEqual({ error: { code: 'INTERNAL', message: 'broken' } });
});

describe('GET /v1/console', () => {
  const console = operations.find((it) => isConsole(it.path))!;
  const headers = { connection: 'Upgrade', upgrade: 'postcopy-console' };
  const at = (query: string) => ({ ...console, path: `${console.path}${query}` });

  it.each(['', '?port=serial', '?port=virtio'])('%s becomes a console', async (query) => {
    const request = httpRequest({ socketPath: path, path: `${console.path}${query}`, headers, agent: false });
    request.end();
    const [answer, socket] = await once(request, 'upgrade');
    expect(console.operation.responses[String((answer as IncomingMessage).statusCode)]).toBeDefined();
    (socket as Socket).destroy();
  });

  it('refuses as promised', async () => {
    expect((await ask(console)).status).toBe(426);
    expect((await ask(at('?port=x'), { headers })).status).toBe(400);
    there = false;
    expect((await ask(console, { headers })).status).toBe(409);
  });
});

it.each([
  ['StopRequest', {}, true],
  ['StopRequest', null, true],
  ['StopRequest', { force: true }, true],
  ['StopRequest', { timeoutMs: 0 }, false],
  ['StopRequest', { timeoutMs: 1.5 }, false],
  ['StopRequest', { now: true }, false],
  ['MigrateRequest', { host: 'h', port: 1 }, true],
  ['MigrateRequest', { host: 'h', port: 65536 }, false],
  ['MigrateRequest', { host: 'h' }, false],
  ['Nothing', {}, true],
  ['Nothing', { x: 1 }, false],
])('%s %j: %s', (name, body, good) => {
  expect(ajv.compile({ $ref: `api#/components/schemas/${name}` })(body)).toBe(good);
});
