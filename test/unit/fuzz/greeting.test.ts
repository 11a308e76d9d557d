/** Strangers at a port, before anything is known of them. */
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GreetingRoom, MOST_GREETING, type Greeting } from '../../../src/migrate/link/greeting-room.js';
import { readFirst } from '../../../src/migrate/link/read-first.js';
import { cuts, fuzz, fuzzAsync, FUZZ_TIMEOUT_MS, pieces } from './fuzz.js';

describe('connections that have not said what they are', { timeout: FUZZ_TIMEOUT_MS }, () => {
  it('are no more than there is room for, and whoever came last, or alone from its host, stays', () => {
    const come = fc.nat(9).map((host) => ({ host, leaves: false }));
    const leave = fc.nat(9).map((host) => ({ host, leaves: true }));
    const events = fc.array(fc.oneof({ weight: 5, arbitrary: come }, leave), { maxLength: 150, size: 'max' });
    fuzz(
      fc.property(events, (all) => {
        const room = new GreetingRoom<Greeting>();
        const closed = new Set<Greeting>();
        for (const [port, { host, leaves }] of all.entries()) {
          if (leaves) {
            const first = room.all[host];
            if (first !== undefined) room.delete(first);
            continue;
          }
          const greeting: Greeting = { peer: `192.0.2.${host}:${port}`, close: () => void closed.add(greeting) };
          const alone = room.all.filter(({ peer }, _, others) => {
            return others.filter((other) => hostOf(other.peer) === hostOf(peer)).length === 1;
          });
          room.add(greeting);
          expect(room.all.length).toBeLessThanOrEqual(MOST_GREETING);
          expect(room.all.at(-1)).toBe(greeting);
          for (const each of alone) expect(closed.has(each)).toBe(false);
        }
        const waiting = room.all;
        for (const each of waiting) expect(closed.has(each)).toBe(false);
        room.closeAll();
        for (const each of waiting) expect(closed.has(each)).toBe(true);
        expect(room.all).toEqual([]);
      }),
    );
  });

  it('are read up to what is enough, once, and nothing of what follows is lost', async () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 80 });
    await fuzzAsync(
      fc.asyncProperty(bytes, cuts, fc.integer({ min: 1, max: 40 }), async (sent, lengths, enough) => {
        const stream = new PassThrough();
        const firsts: Buffer[] = [];
        readFirst(stream as unknown as Socket, enough, (first) => {
          firsts.push(first);
          stream.unshift(first.subarray(enough));
        });
        for (const piece of pieces(sent, lengths)) stream.write(piece);
        await setImmediate();
        expect(firsts.length).toBe(sent.length >= enough ? 1 : 0);
        if (firsts.length === 0) return;
        const rest = (stream.read() as Buffer | null) ?? Buffer.alloc(0);
        expect(Buffer.concat([firsts[0]!.subarray(0, enough), rest]).equals(sent)).toBe(true);
      }),
    );
  });
});

function hostOf(peer: string): string {
  return peer.slice(0, peer.lastIndexOf(':'));
}
