import { PassThrough, Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { GuestConsole } from '../../../src/trial/guest-console.js';

/** The guest's end of its serial line: what it is told, and what it says. */
class FakeGuest {
  readonly console: GuestConsole;
  readonly #out = new PassThrough();
  readonly told: string[] = [];

  /** `answer`: called with each line. */
  constructor(answer: (line: string, guest: FakeGuest) => void = () => {}) {
    const input = new PassThrough();
    let text = '';
    input.on('data', (chunk: Buffer) => {
      const lines = (text + chunk.toString()).split('\n');
      text = lines.pop()!;
      for (const line of lines) {
        this.told.push(line);
        answer(line, this);
      }
    });
    this.console = new GuestConsole(Duplex.from({ readable: this.#out, writable: input }));
  }

  say(text: string): void {
    this.#out.write(text);
  }

  event(event: string, fields: object = {}): void {
    this.say(`${JSON.stringify({ event, ...fields })}\n`);
  }
}

const failed = (message: string | RegExp) =>
  expect.objectContaining({ code: 'GUEST_FAILED', message: expect.stringMatching(message) as string });

const open: FakeGuest[] = [];
function makeGuest(answer?: (line: string, guest: FakeGuest) => void): FakeGuest {
  const guest = new FakeGuest(answer);
  open.push(guest);
  return guest;
}

afterEach(() => {
  for (const guest of open.splice(0)) guest.console.close();
});

describe('command', () => {
  it('sends a line, and gives the event it asked for', async () => {
    const guest = makeGuest((_, self) => {
      self.event('hello');
      self.event('filled', { pages: 7 });
    });
    expect(await guest.console.command('fill mib=1', 'filled')).toEqual({ event: 'filled', pages: 7 });
    expect(guest.told).toEqual(['fill mib=1']);
  });

  it('puts lines together that come in pieces, and passes over what is no event', async () => {
    const guest = makeGuest((_, self) => {
      for (const part of ['tail of a line"}\n', '\n', '5\n{"no":1}\r\n{"eve', 'nt":"rep', 'ort","a":1}\n{"event":'])
        self.say(part);
    });
    expect(await guest.console.command('report', 'report')).toEqual({ event: 'report', a: 1 });
  });

  it.each(['bad', 'exception', 'error'])('fails when the guest says %s instead, and remembers it', async (event) => {
    const guest = makeGuest((_, self) => self.event(event, { page: 5 }));
    await expect(guest.console.command('verify', 'verified')).rejects.toEqual(failed(`"event":"${event}","page":5`));
    expect(guest.console.trouble).toEqual([{ event, page: 5 }]);
  });

  it('remembers trouble that nobody asked for', async () => {
    const guest = makeGuest();
    guest.event('bad', { page: 1 });
    guest.event('started');
    guest.event('exception', { vector: 14 });
    await turn();
    expect(guest.console.trouble.map(({ event }) => event)).toEqual(['bad', 'exception']);
  });

  it('gives each of two commands its own event', async () => {
    const guest = makeGuest();
    const one = guest.console.command('a', 'A');
    const two = guest.console.command('b', 'B');
    guest.event('B');
    guest.event('A');
    expect([await one, await two]).toEqual([{ event: 'A' }, { event: 'B' }]);
  });
});

describe('report and verify', () => {
  const report = { us: 1, accesses: 2, bad: 0, stalls: 0, longest_us: 3, stalled_us: 4 };

  it('give what the guest counts, and more that it may say', async () => {
    const guest = makeGuest((_, self) => self.event('report', { ...report, histogram: [1, 2] }));
    expect(await guest.console.report()).toEqual({ event: 'report', ...report, histogram: [1, 2] });
  });

  it('refuse a report that lacks a figure', async () => {
    const guest = makeGuest((_, self) => self.event('report', { ...report, bad: undefined }));
    await expect(guest.console.report()).rejects.toThrow('bad');
  });

  it('ask for pages outside of the working set', async () => {
    const verdict = { pages: 10, bad: 0, outside: 5, outside_bad: 0 };
    const guest = makeGuest((_, self) => self.event('verified', verdict));
    expect(await guest.console.verify(5)).toEqual({ event: 'verified', ...verdict });
    expect(guest.told).toEqual(['verify outside=5']);
  });
});

describe('synchronize', () => {
  it('says its word until the guest repeats it, and forgets what was before', async () => {
    let deaf = 1;
    const guest = makeGuest((line, self) => {
      if (deaf-- > 0) return;
      self.event('echo', { text: 'of another console' });
      self.event('echo', { text: line.replace('echo ', '') });
    });
    guest.event('error', { text: 'half a command' });
    await guest.console.synchronize();
    expect(guest.told).toHaveLength(2);
    expect(new Set(guest.told).size).toBe(1);
    expect(guest.told[0]).toMatch(/^echo sync-\d+-1$/);
    expect(guest.console.trouble).toEqual([]);
  });

  it('has a new word each time', async () => {
    const guest = makeGuest((line, self) => self.event('echo', { text: line.replace('echo ', '') }));
    await guest.console.synchronize();
    await guest.console.synchronize();
    expect(new Set(guest.told).size).toBe(2);
  });
});

it('does not fail when the line breaks', async () => {
  const line = new PassThrough();
  const console = new GuestConsole(line);
  line.destroy(new Error('the VM has gone'));
  await turn();
  console.close();
});
