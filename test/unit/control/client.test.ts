import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VmClient } from '../../../src/control/client.js';
import { startControlServer, type ControlServer } from '../../../src/control/server.js';
import type { MigrationProgress } from '../../../src/migrate/report/summary.js';
import { PostcopyError } from '../../../src/errors.js';
import { Collected } from '../console/socket-pair.js';
import { leaveDeadSocket } from './fake-lock.js';
import { FakeVm, PROGRESS, STATUS, SUMMARY } from './fake-vm.js';

const TO = { host: 'host2', port: 7000 };
let directory: string;
let path: string;
let client: VmClient;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postcopy-client-'));
  path = join(directory, 'vm1.sock');
  client = new VmClient('vm1', path);
});
afterEach(async () => {
  await client.close();
  rmSync(directory, { recursive: true });
});

describe('with a VM', () => {
  let vm: FakeVm;
  let server: ControlServer;
  beforeEach(async () => {
    vm = new FakeVm();
    server = await startControlServer({ path, service: () => vm });
  });
  afterEach(() => server.close());

  it('asks for the status and acts', async () => {
    expect(await client.status()).toEqual(STATUS);
    await client.pause();
    await client.resume();
    await client.stop();
    await client.cancelMigration();
    await client.limit({ bandwidth: 1e8 });
    expect(vm.calls).toEqual(['pause', 'resume', 'stop', 'cancel', 'limit 100000000']);
  });

  it('passes the error of the VM on', async () => {
    vm.refusal = new PostcopyError('WRONG_STATE', 'it is paused already');
    await expect(client.pause()).rejects.toEqual(new PostcopyError('WRONG_STATE', 'it is paused already'));
  });

  it('follows a migration', async () => {
    vm.onMigrate = async (_request, onProgress) => {
      onProgress(PROGRESS);
      onProgress({ ...PROGRESS, pagesLeft: 5 });
      return SUMMARY;
    };
    const seen: MigrationProgress[] = [];
    expect(await client.migrate(TO, (progress) => seen.push(progress))).toEqual(SUMMARY);
    expect(seen).toEqual([PROGRESS, { ...PROGRESS, pagesLeft: 5 }]);
    expect(vm.calls).toEqual(['migrate host2 7000']);
  });

  it('gives the summary of a migration that failed', async () => {
    const failed = { ...SUMMARY, status: 'failed' as const, error: { code: 'REFUSED', message: 'no room' } };
    vm.onMigrate = async () => failed;
    expect(await client.migrate(TO, () => {})).toEqual(failed);
  });

  it.each([true, false])('throws what the VM throws (progress before: %s)', async (before) => {
    vm.onMigrate = async (_request, onProgress) => {
      if (before) onProgress(PROGRESS);
      await new Promise((resolve) => setTimeout(resolve, 10));
      throw new PostcopyError('UNREACHABLE', 'host2 does not answer');
    };
    await expect(client.migrate(TO, () => {})).rejects.toEqual(
      new PostcopyError('UNREACHABLE', 'host2 does not answer'),
    );
  });

  it('joins the console, which outlives the client', async () => {
    const stream = await client.console();
    await client.close();
    const seen = new Collected(stream);
    stream.write('echo');
    expect(await seen.until((text) => text === 'echo')).toBe('echo');
    stream.destroy();
  });

  it('joins the virtio console', async () => {
    (await client.console('virtio')).destroy();
    expect(vm.calls).toEqual(['console virtio']);
  });

  it('says why there is no console', async () => {
    vm = undefined as never;
    await expect(client.console()).rejects.toMatchObject({
      code: 'WRONG_STATE',
      message: expect.stringContaining('still starting'),
    });
  });
});

describe('without a VM', () => {
  it('says so when there is no socket', async () => {
    await expect(client.status()).rejects.toMatchObject({
      code: 'NO_SUCH_VM',
      message: expect.stringContaining('vm1'),
    });
    await expect(client.migrate(TO, () => {})).rejects.toMatchObject({ code: 'NO_SUCH_VM' });
    await expect(client.console()).rejects.toMatchObject({ code: 'NO_SUCH_VM' });
  });

  it('says so when the socket is dead', async () => {
    await leaveDeadSocket(path);
    await expect(client.stop()).rejects.toMatchObject({ code: 'NO_SUCH_VM' });
  });
});

describe('with something else on the socket', () => {
  let server: Server;
  async function serve(listener: RequestListener): Promise<void> {
    server = createServer(listener).listen(path);
    await once(server, 'listening');
  }
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const wrong: [string, unknown][] = [
    ['no object', []],
    ['nothing', {}],
    ['a pid that is text', { ...STATUS, pid: '4711' }],
    ['no state', { ...STATUS, state: undefined }],
    ['disks that are no list', { ...STATUS, disks: {} }],
    ['a disk without its path', { ...STATUS, disks: [{ id: 'a' }] }],
    ['an interface without its MAC', { ...STATUS, nets: [{ id: 'a', tap: 't' }] }],
    ['a broken migration', { ...STATUS, migration: {} }],
  ];
  it.each(wrong)('does not take %s for a status', async (_what, body) => {
    await serve((_request, answer) => answer.end(JSON.stringify(body)));
    await expect(client.status()).rejects.toMatchObject({ code: 'BAD_PEER' });
  });

  it('does not take text for JSON, nor an error without a reason', async () => {
    await serve((request, answer) => answer.writeHead(request.method === 'GET' ? 200 : 500).end('<html>'));
    await expect(client.status()).rejects.toMatchObject({ code: 'BAD_PEER' });
    await expect(client.stop()).rejects.toMatchObject({ code: 'BAD_PEER' });
  });

  it('takes an unknown error code as INTERNAL', async () => {
    await serve((_request, answer) => answer.writeHead(418).end('{"error":{"code":"toString","message":"new"}}'));
    await expect(client.stop()).rejects.toEqual(new PostcopyError('INTERNAL', 'new'));
    await serveError(404, '{"error":{"code":"NEW_CODE"}}');
  });

  async function serveError(status: number, body: string): Promise<void> {
    server.removeAllListeners('request');
    server.on('request', (_request, answer) => answer.writeHead(status).end(body));
    await expect(client.stop()).rejects.toMatchObject({ code: 'BAD_PEER', message: expect.stringContaining('404') });
  }

  it('tells in which phase the process died', async () => {
    await serve((_request, answer) => {
      answer.write(`${JSON.stringify(PROGRESS)}\n`, () => setTimeout(() => answer.destroy(), 20));
    });
    await expect(client.migrate(TO, () => {})).rejects.toMatchObject({
      code: 'LINK_LOST',
      message: 'the process of the VM vm1 ended during the migration (in phase pulling, 1024 pages left)',
    });
  });

  it.each([
    ['nothing at all', '', 'ended during the migration (before it said anything)'],
    ['half a line', '{"summary":', 'ended during the migration'],
  ])('takes the end after %s for no success', async (_what, text, why) => {
    await serve((_request, answer) => answer.end(text));
    await expect(client.migrate(TO, () => {})).rejects.toMatchObject({
      code: 'NO_SUCH_VM',
      message: expect.stringContaining(why),
    });
  });

  it.each(['x\n', '[]\n', '{"phase":1}\n', '{"summary":{"status":"completed"}}\n', '{"summary":null}\n'])(
    'does not take %j for a line of a migration',
    async (text) => {
      await serve((_request, answer) => answer.end(text));
      await expect(client.migrate(TO, () => {})).rejects.toMatchObject({ code: 'BAD_PEER' });
    },
  );

  it('reads lines that come in any pieces', async () => {
    const text = Buffer.from(
      `${JSON.stringify({ ...PROGRESS, phase: 'pülling' })}\n${JSON.stringify({ summary: SUMMARY })}\n`,
    );
    await serve((_request, answer) => {
      const writeFrom = (at: number): void => {
        if (at >= text.length) return void answer.end();
        answer.write(text.subarray(at, at + 7));
        setImmediate(writeFrom, at + 7);
      };
      writeFrom(0);
    });
    const phases: string[] = [];
    expect(await client.migrate(TO, ({ phase }) => phases.push(phase))).toEqual(SUMMARY);
    expect(phases).toEqual(['pülling']);
  });

  it('does not take an ordinary answer for a console', async () => {
    await serve((_request, answer) => answer.end(JSON.stringify(STATUS)));
    await expect(client.console()).rejects.toMatchObject({ code: 'BAD_PEER', message: expect.stringContaining('200') });
  });

  it('takes no answer without end', async () => {
    await serve((_request, answer) => {
      const more = (): void => void answer.write('[0'.repeat(1 << 16), more);
      more();
    });
    await expect(client.status()).rejects.toMatchObject({ code: 'BAD_PEER', message: expect.stringContaining('end') });
  });

  it('gives up what it waits for when it is closed', async () => {
    await serve((_request, answer) => {
      answer.write('\n');
      void client.close();
    });
    await expect(client.stop()).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });

  it('notices a process that dies with a request', async () => {
    await serve((request) => request.socket.destroy());
    await expect(client.pause()).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('vm1'),
    });
  });
});
