import { describe, expect, test } from 'vitest';
import { DelayLine } from '../../../src/bench/link/delay-line.js';
import { parseLink } from '../../../src/bench/link/link-spec.js';
import { parseNetDev } from '../../../src/bench/link/namespace.js';
import { tbfWords, tokenBucket } from '../../../src/bench/link/token-bucket.js';

describe('a link', () => {
  test.each([
    ['loopback', {}],
    ['1g', { rateBits: 1e9 }],
    ['10g', { rateBits: 1e10 }],
    ['100m', { rateBits: 1e8 }],
    ['rtt=0.2', { rttMs: 0.2 }],
    ['10g,rtt=1', { rateBits: 1e10, rttMs: 1 }],
    ['rtt=10,1g', { rateBits: 1e9, rttMs: 10 }],
  ])('%s', (text, spec) => expect(parseLink(text)).toEqual({ text, ...spec }));

  test.each(['', '1', '1k', 'rtt=', 'rtt=0', '0g', '1g,2g', 'rtt=1,rtt=2', 'loopback,1g', '-1g'])(
    '%s is refused',
    (text) => {
      expect(() => parseLink(text)).toThrow(/is no link: give loopback/);
    },
  );
});

describe('a token bucket', () => {
  test('lets a large TCP packet through whole, and queues 4 ms', () => {
    expect(tokenBucket(1e9)).toEqual({ rateBits: 1e9, burstBytes: 73_728, limitBytes: 73_728 + 500_000 });
  });

  test('is as large as a tick of its timer at high rates', () => {
    expect(tokenBucket(1e10)).toEqual({ rateBits: 1e10, burstBytes: 125_000, limitBytes: 125_000 + 5_000_000 });
  });

  test('is written as tc takes it', () => {
    expect(tbfWords(tokenBucket(1e9)).join(' ')).toBe('tbf rate 1000000000bit burst 73728 limit 573728');
  });
});

describe('a delay line', () => {
  const put = (line: DelayLine, text: string, dueAt: number) => {
    const { offset, length } = line.room(text.length);
    expect(length).toBe(text.length);
    line.bytes.write(text, offset, 'latin1');
    line.put(text.length, dueAt);
  };
  const take = (line: DelayLine, now: number, most = Infinity) => {
    let text = '';
    for (;;) {
      const { offset, length } = line.due(now);
      const some = Math.min(length, most - text.length);
      if (some <= 0) return text;
      text += line.bytes.toString('latin1', offset, offset + some);
      line.take(some);
    }
  };

  test('gives nothing before its time, and all in order then', () => {
    const line = new DelayLine(16);
    put(line, 'abc', 10);
    put(line, 'de', 20);
    expect(line.nextDue).toBe(10);
    expect(take(line, 9.9)).toBe('');
    expect(take(line, 10)).toBe('abc');
    expect(line.nextDue).toBe(20);
    expect(take(line, 30)).toBe('de');
    expect(line.nextDue).toBe(Infinity);
    expect(line.held).toBe(0);
  });

  test('keeps the rest of what was taken in part', () => {
    const line = new DelayLine(16);
    put(line, 'abc', 1);
    put(line, 'def', 2);
    expect(take(line, 2, 4)).toBe('abcd');
    expect(line.nextDue).toBe(2);
    expect(take(line, 2)).toBe('ef');
  });

  test('has no room when full, and goes round', () => {
    const line = new DelayLine(8);
    put(line, 'abcdef', 1);
    expect(line.room(10)).toEqual({ offset: 6, length: 2 });
    put(line, 'gh', 2);
    expect(line.room(10).length).toBe(0);
    expect(take(line, 1, 5)).toBe('abcde');
    expect(line.room(10)).toEqual({ offset: 0, length: 5 });
    put(line, 'ijk', 3);
    expect(take(line, 3)).toBe('fghijk');
  });

  test('holds on through very many pieces', () => {
    const line = new DelayLine(64);
    for (let i = 0; i < 10_000; i++) {
      put(line, String(i % 10), i);
      if (i >= 5) expect(take(line, i - 5)).toBe(String((i - 5) % 10));
    }
    expect(line.held).toBe(5);
  });
});

test('interface counters are read from /proc/net/dev', () => {
  const text = [
    'Inter-|   Receive                                                |  Transmit',
    ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs',
    '    lo:    1234      5    0    0    0     0          0         0     1234       5    0',
    '  wire:99 1 0 0 0 0 0 0 77 2 0 0 0 0 0 0',
  ].join('\n');
  expect(parseNetDev(text, 'lo')).toEqual({ received: 1234, sent: 1234 });
  expect(parseNetDev(text, 'wire')).toEqual({ received: 99, sent: 77 });
  expect(() => parseNetDev(text, 'eth0')).toThrow('eth0');
});
