import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startControlServer, type ControlServer } from '../../../src/control/server.js';
import { PostcopyError, type ErrorCode } from '../../../src/errors.js';
import { Collected } from '../console/socket-pair.js';
import { FakeVm, PROGRESS, STATUS, SUMMARY } from './fake-vm.js';

let directory: string;
let path: string;
let vm: FakeVm;
let server: ControlServer;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postcopy-server-'));
  path = join(directory, 'vm1.sock');
  vm = new FakeVm();
  server = await startControlServer({ path, service: () => vm });
});
afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

interface Answer {
  status: number;
  type: string | undefined;
  text: string;
}

async function ask(method: string, url: string, body?: string, type = 'application/json'): Promise<Answer> {
  const request = httpRequest({ socketPath: path, method, path: url, agent: false });
  if (body !== undefined) request.setHeader('content-type', type);
  request.end(body);
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  const text = await new Collected(answer).untilClosed();
  return { status: answer.statusCode!, type: answer.headers['content-type'], text };
}

function error(code: ErrorCode, message: unknown) {
  return { error: { code, message } };
}

describe('requests', () => {
  it('are answered on a socket for the owner alone', async () => {
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { status, text } = await ask('GET', '/v1/vm');
    expect(status).toBe(200);
    expect(JSON.parse(text)).toEqual(STATUS);
  });

  it.each(['pause', 'resume', 'stop'])('%s', async (action) => {
    expect(await ask('POST', `/v1/vm/${action}`)).toMatchObject({ status: 200, text: '{}' });
    expect(await ask('POST', `/v1/vm/${action}`, '{}')).toMatchObject({ status: 200, text: '{}' });
    expect(vm.calls).toEqual([action, action]);
    expect((await ask('POST', `/v1/vm/${action}`, '{"now":true}')).status).toBe(400);
    expect(vm.calls).toHaveLength(2);
  });

  it('resume passes on what is wished, and refuses what is none', async () => {
    for (const body of [undefined, '{}', '{"force":true}']) await ask('POST', '/v1/vm/resume', body);
    expect(vm.resumes).toEqual([{}, {}, { force: true }]);
    expect((await ask('POST', '/v1/vm/resume', '{"force":1}')).status).toBe(400);
  });

  it('stop passes on what is wished, and refuses what is none', async () => {
    await ask('POST', '/v1/vm/stop');
    await ask('POST', '/v1/vm/stop', '{"force":true}');
    await ask('POST', '/v1/vm/stop', '{"timeoutMs":5000}');
    expect(vm.stops).toEqual([{}, { force: true }, { timeoutMs: 5000 }]);
    for (const body of ['{"force":1}', '{"timeoutMs":0}', '{"timeoutMs":1.5}', '{"timeoutMs":1e12}', '[]']) {
      expect((await ask('POST', '/v1/vm/stop', body)).status).toBe(400);
    }
    expect(vm.stops).toHaveLength(3);
  });

  it('limit passes on what is wished, and refuses what is none', async () => {
    for (const body of ['{"bandwidth":65536}', '{"bandwidth":null}']) {
      expect(await ask('POST', '/v1/vm/limit', body)).toMatchObject({ status: 200, text: '{}' });
    }
    for (const body of [undefined, '{}', '{"bandwidth":1}', '{"bandwidth":"100M"}', '{"bandwidth":null,"wait":true}']) {
      expect((await ask('POST', '/v1/vm/limit', body)).status).toBe(400);
    }
    expect(vm.calls).toEqual(['limit 65536', 'limit null']);
  });

  it.each<[ErrorCode, number]>([
    ['BAD_CONFIG', 400],
    ['WRONG_STATE', 409],
    ['HOST_LACKS', 507],
    ['UNREACHABLE', 502],
    ['NO_REACTION', 504],
    ['INTERNAL', 500],
  ])('a %s of the VM has status %d', async (code, status) => {
    vm.refusal = new PostcopyError(code, 'cannot do it', new Error('the reason'));
    const answer = await ask('POST', '/v1/vm/pause');
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.text)).toEqual(error(code, 'cannot do it (the reason)'));
  });

  it('anything else that is thrown is INTERNAL', async () => {
    vm.refusal = new TypeError('x is undefined');
    const answer = await ask('POST', '/v1/vm/stop');
    expect(answer.status).toBe(500);
    expect(JSON.parse(answer.text)).toEqual(error('INTERNAL', 'x is undefined'));
  });

  it.each([
    ['GET', '/'],
    ['GET', '/v2/vm'],
    ['GET', '/v1/vm/pause'],
    ['DELETE', '/v1/vm'],
  ])('%s %s is not there', async (method, url) => {
    const answer = await ask(method, url);
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.text)).toEqual(error('BAD_CONFIG', `this VM has no ${method} ${url}`));
  });

  it('while the VM is being built are told so', async () => {
    const early = join(directory, 'early.sock');
    const other = await startControlServer({ path: early, service: () => undefined });
    path = early;
    for (const [method, url] of [
      ['GET', '/v1/vm'],
      ['POST', '/v1/vm/stop'],
    ] as const) {
      const answer = await ask(method, url);
      expect(answer.status).toBe(409);
      expect(JSON.parse(answer.text)).toEqual(error('WRONG_STATE', expect.stringContaining('still starting')));
    }
    await other.close();
  });
});

describe('migrate', () => {
  const migrate = (body: unknown) => ask('POST', '/v1/vm/migrate', JSON.stringify(body));
  const lines = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);

  it('streams progress and ends with the summary', async () => {
    vm.onMigrate = async (_request, onProgress) => {
      onProgress(PROGRESS);
      await new Promise((resolve) => setTimeout(resolve, 10));
      onProgress({ ...PROGRESS, pagesLeft: 0 });
      return SUMMARY;
    };
    const answer = await migrate({ host: 'host2', port: 7000 });
    expect(answer).toMatchObject({ status: 200, type: 'application/x-ndjson' });
    expect(lines(answer.text)).toEqual([PROGRESS, { ...PROGRESS, pagesLeft: 0 }, { summary: SUMMARY }]);
    expect(vm.calls).toEqual(['migrate host2 7000']);
  });

  it('passes on what is asked of it, and the defaults of the rest', async () => {
    await migrate({ host: 'host2', port: 7000 });
    const rounds = { mode: 'post-copy', downtime: 300, timeout: 300, onTimeout: 'post-copy' };
    await migrate({ host: 'host2', port: 7000, channels: 4, prefetch: 'in-order' });
    expect(vm.migrations).toEqual([
      { host: 'host2', port: 7000, channels: 1, prefetch: 'in-order', ...rounds, dryRun: false, wait: false },
      { host: 'host2', port: 7000, channels: 4, prefetch: 'in-order', ...rounds, dryRun: false, wait: false },
    ]);
  });

  it.each([
    [{ channels: 17 }, 'channels: must be a whole number of connections from 1 to 16'],
    [{ prefetch: 'by-magic' }, 'prefetch: must be one of in-order, near-faults, streams, auto, recent'],
    [{ speed: 1 }, 'speed: there is no such setting'],
  ])('refuses the option %j, and says why', async (option, why) => {
    const answer = await migrate({ host: 'host2', port: 7000, ...option });
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text)).toEqual(error('BAD_CONFIG', why));
    expect(vm.migrations).toEqual([]);
  });

  it('gives the summary also without progress', async () => {
    expect(lines((await migrate({ host: '::1', port: 1 })).text)).toEqual([{ summary: SUMMARY }]);
  });

  it('that could not be tried is an ordinary error', async () => {
    vm.onMigrate = async () => Promise.reject(new PostcopyError('WRONG_STATE', 'it is paused'));
    const answer = await migrate({ host: 'host2', port: 7000 });
    expect(answer.status).toBe(409);
    expect(JSON.parse(answer.text)).toEqual(error('WRONG_STATE', 'it is paused'));
  });

  it('that throws on the way ends with an error line', async () => {
    vm.onMigrate = async (_request, onProgress) => {
      onProgress(PROGRESS);
      await new Promise((resolve) => setTimeout(resolve, 5));
      throw new Error('broken');
    };
    const answer = await migrate({ host: 'host2', port: 7000 });
    expect(answer.status).toBe(200);
    expect(lines(answer.text)).toEqual([PROGRESS, error('INTERNAL', 'broken')]);
  });

  it.each([
    [undefined],
    [{}],
    [{ host: 'host2' }],
    [{ host: 'host2', port: 0 }],
    [{ host: 'host2', port: 65536 }],
    [{ host: 'host2', port: 7000.5 }],
    [{ host: 'host2', port: '7000' }],
    [{ host: '', port: 7000 }],
    [{ host: 'a b', port: 7000 }],
    [{ host: 'host2', port: 7000, speed: 1 }],
    [[]],
    ['host2:7000'],
  ])('refuses %j', async (body) => {
    const answer = await migrate(body);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text)).toEqual(error('BAD_CONFIG', expect.any(String)));
    expect(vm.calls).toEqual([]);
  });

  it.each([
    ['{', 'application/json', 400],
    ['x=1', 'application/x-www-form-urlencoded', 415],
  ])('refuses %s as %s', async (body, type, status) => {
    const answer = await ask('POST', '/v1/vm/migrate', body, type);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.text)).toEqual(error('BAD_CONFIG', expect.any(String)));
  });

  it('goes on when the client goes away', async () => {
    let finish: ((value: typeof SUMMARY) => void) | undefined;
    let progress: (() => void) | undefined;
    vm.onMigrate = (_request, onProgress) => {
      progress = () => onProgress(PROGRESS);
      progress();
      return new Promise((resolve) => (finish = resolve));
    };
    const request = httpRequest({ socketPath: path, method: 'POST', path: '/v1/vm/migrate', agent: false });
    request.setHeader('content-type', 'application/json');
    request.end('{"host":"host2","port":7000}');
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    answer.on('error', () => {});
    answer.destroy();
    for (let i = 0; i < 10; i++) {
      progress!();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    finish!(SUMMARY);
    expect((await ask('GET', '/v1/vm')).status).toBe(200);
  });

  it('gives a client that does not read less progress, and the summary', async () => {
    const many = 20_000;
    vm.onMigrate = async (_request, onProgress) => {
      onProgress(PROGRESS);
      await new Promise((resolve) => setTimeout(resolve, 20));
      for (let i = 0; i < many; i++) onProgress(PROGRESS);
      return SUMMARY;
    };
    const found = lines((await migrate({ host: 'host2', port: 7000 })).text);
    expect(found.length).toBeLessThan(many);
    expect(found.at(-1)).toEqual({ summary: SUMMARY });
  });
});

describe('console', () => {
  function upgrade(url: string, protocol: string, early = ''): Collected & { send(text: string): void } {
    const socket = connect(path);
    socket.write(`GET ${url} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n${early}`);
    return Object.assign(new Collected(socket), { send: (text: string) => void socket.write(text) });
  }

  const head = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: postcopy-console\r\n\r\n';

  it('becomes a stream, with what was sent early', async () => {
    const client = upgrade('/v1/console', 'postcopy-console', 'early');
    expect(await client.until((text) => text.endsWith('early'))).toBe(`${head}early`);
    client.send('more');
    expect(await client.until((text) => text.endsWith('more'))).toBe(`${head}earlymore`);
  });

  it.each([
    ['/v1/console', 'console serial'],
    ['/v1/console?port=serial', 'console serial'],
    ['/v1/console?port=virtio', 'console virtio'],
  ])('%s is the %s', async (url, call) => {
    const client = upgrade(url, 'postcopy-console');
    await client.until((text) => text === head);
    expect(vm.calls).toEqual([call]);
  });

  it.each([
    ['/v1/console?port=com2', 'postcopy-console'],
    ['/v1/console', 'websocket'],
    ['/v1/vm', 'postcopy-console'],
    ['/', 'h2c'],
  ])('is not at %s with %s', async (url, protocol) => {
    const text = await upgrade(url, protocol).untilClosed();
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\nConnection: close\r\n/);
    expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toEqual(error('BAD_CONFIG', expect.any(String)));
    expect(vm.calls).toEqual([]);
  });

  it('without an upgrade asks for one', async () => {
    const answer = await ask('GET', '/v1/console');
    expect(answer.status).toBe(426);
    expect(JSON.parse(answer.text)).toEqual(error('BAD_CONFIG', expect.stringContaining('postcopy-console')));
  });

  it('is refused while the VM is being built', async () => {
    const early = join(directory, 'early.sock');
    const other = await startControlServer({ path: early, service: () => undefined });
    path = early;
    expect(await upgrade('/v1/console', 'postcopy-console').untilClosed()).toMatch(/^HTTP\/1\.1 409 Conflict/);
    await other.close();
  });
});

describe('close', () => {
  it('removes the socket and ends consoles', async () => {
    const socket = connect(path);
    socket.write('GET /v1/console HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: postcopy-console\r\nHost: x\r\n\r\n');
    const seen = new Collected(socket);
    await seen.until((text) => text.includes('101'));
    await server.close();
    await seen.untilClosed();
    expect(existsSync(path)).toBe(false);
  });

  it('lets answers that are under way go out', async () => {
    let finish: (() => void) | undefined;
    vm.onMigrate = (_request, onProgress) => {
      onProgress(PROGRESS);
      return new Promise((resolve) => (finish = () => resolve(SUMMARY)));
    };
    const answer = ask('POST', '/v1/vm/migrate', '{"host":"host2","port":7000}');
    await vi.waitFor(() => expect(finish).toBeDefined());
    const closed = server.close();
    finish!();
    expect((await answer).text).toContain('summary');
    await closed;
  });

  it('does not wait for ever for a client that does not read', async () => {
    vm.onMigrate = (_request, onProgress) => {
      onProgress(PROGRESS);
      return new Promise(() => {});
    };
    const answer = ask('POST', '/v1/vm/migrate', '{"host":"host2","port":7000}').catch(() => 'cut off');
    await vi.waitFor(() => expect(vm.calls).toHaveLength(1));
    await server.close();
    await answer;
  });
});

it('says when it cannot listen', async () => {
  const taken = join(directory, 'taken.sock');
  writeFileSync(taken, '');
  await expect(startControlServer({ path: taken, service: () => vm })).rejects.toMatchObject({ code: 'HOST_LACKS' });
});
