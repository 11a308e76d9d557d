import { Duplex } from 'node:stream';
import { setImmediate as tick } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { parseMigrationInfo } from '../../../src/bench/qemu/migration-info.js';
import { Qmp, type QmpEvent } from '../../../src/bench/qemu/qmp.js';

const GREETING = '{"QMP": {"version": {}, "capabilities": ["oob"]}}\r\n';

function fakeQemu() {
  const sent: { execute: string; arguments: object; id: number }[] = [];
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      sent.push(JSON.parse(chunk.toString()));
      done();
    },
  });
  return { stream, sent, say: (text: string) => stream.push(text), qmp: new Qmp(stream) };
}

describe('QMP', () => {
  const answers = `${GREETING}{"return": {"status": "running"}, "id": 1}\r\n{"event": "STOP", "data": {"a": 1}}\r\n`;

  test.each(Array.from({ length: answers.length - 1 }, (_, i) => i + 1))(
    'is understood when cut at %i',
    async (cut) => {
      const { qmp, say } = fakeQemu();
      const events: QmpEvent[] = [];
      qmp.onEvent((event) => events.push(event));
      const answer = qmp.execute('query-status');
      say(answers.slice(0, cut));
      await tick();
      say(answers.slice(cut));
      expect(await answer).toEqual({ status: 'running' });
      await tick();
      expect(events).toEqual([{ event: 'STOP', data: { a: 1 } }]);
    },
  );

  test('answers belong to their commands', async () => {
    const { qmp, say, sent } = fakeQemu();
    const both = Promise.all([qmp.execute('one'), qmp.execute('two', { x: 1 })]);
    await tick();
    expect(sent).toEqual([
      { execute: 'one', arguments: {}, id: 1 },
      { execute: 'two', arguments: { x: 1 }, id: 2 },
    ]);
    say('{"return": "b", "id": 2}\n{"return": "a", "id": 1}\n');
    expect(await both).toEqual(['a', 'b']);
  });

  test("refusals are in QEMU's words", async () => {
    const { qmp, say } = fakeQemu();
    const answer = qmp.execute('migrate');
    say('{"id": 1, "error": {"class": "GenericError", "desc": "no channel"}}\n');
    await expect(answer).rejects.toThrow('QEMU refuses migrate: no channel');
  });

  test('nobody waits for a QEMU that has ended', async () => {
    const { qmp, stream } = fakeQemu();
    const answer = qmp.execute('migrate');
    stream.destroy();
    await expect(answer).rejects.toThrow('QEMU has ended');
    await expect(qmp.execute('stop')).rejects.toThrow('QEMU has ended');
  });
});

test('query-migrate is read as far as it is there', () => {
  const ram = {
    transferred: 10,
    remaining: 4096,
    normal: 7,
    'postcopy-requests': 3,
    duplicate: 5,
    'dirty-sync-count': 2,
  };
  const info = { status: 'completed', 'total-time': 900, downtime: 2, 'setup-time': 1, ram };
  expect(parseMigrationInfo(info)).toEqual({
    ...{ totalMs: 900, downtimeMs: 2, wireBytes: 10, remaining: 4096, faults: 3, dataPages: 7, syncs: 2 },
  });
  expect(parseMigrationInfo({ status: 'setup' })).toMatchObject({ totalMs: 0, remaining: 0 });
});
