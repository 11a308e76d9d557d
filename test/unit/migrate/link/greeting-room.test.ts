import { expect, it } from 'vitest';
import { GreetingRoom, MOST_GREETING, type Greeting } from '../../../../src/migrate/link/greeting-room.js';

class Guest implements Greeting {
  closed = false;
  constructor(readonly peer: string) {}
  close(): void {
    this.closed = true;
  }
}

const some = (room: GreetingRoom<Guest>, host: string, count: number): Guest[] =>
  Array.from({ length: count }, (_, port) => {
    const guest = new Guest(`${host}:${port}`);
    room.add(guest);
    return guest;
  });

it('is never too full: the oldest of the host that has the most there leaves', () => {
  const room = new GreetingRoom<Guest>();
  const [known] = some(room, '192.0.2.1', 1);
  const strangers = some(room, '192.0.2.9', MOST_GREETING + 200);
  some(room, '[2001:db8::1]', 1);
  expect(room.all).toHaveLength(MOST_GREETING);
  expect(known!.closed).toBe(false);
  expect(strangers.filter(({ closed }) => !closed)).toHaveLength(MOST_GREETING - 2);
  expect(strangers.findIndex(({ closed }) => !closed)).toBe(202);
});

it('counts nobody who has left, and closes the others in the end', () => {
  const room = new GreetingRoom<Guest>();
  const guests = some(room, '192.0.2.1', MOST_GREETING);
  room.delete(guests[0]!);
  some(room, '192.0.2.2', 1);
  expect(guests.some(({ closed }) => closed)).toBe(false);
  room.closeAll();
  expect(guests.slice(1).every(({ closed }) => closed)).toBe(true);
  expect(room.all).toEqual([]);
});
