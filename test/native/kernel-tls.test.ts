/** TLS of a TCP connection in the kernel: tried where it has it, refused clearly where it has not or the arguments are wrong. */
import { expect, onTestFinished, test } from 'vitest';
import { native } from '../../src/native.js';
import { connected } from './connected.js';
import { PATIENCE_MS } from './threads.js';

const SECRET_BYTES = 28;
const secret = (fill: number) => new Uint8Array(SECRET_BYTES).fill(fill);

test('both ends go on with what they have agreed on, or the kernel cannot', async () => {
  const { client: one, server: other } = await connected();
  const begin = () => {
    native.encryptInKernel(one.fd, secret(1), 3, secret(2), 5);
    native.encryptInKernel(other.fd, secret(2), 5, secret(1), 3);
  };
  if (!native.tryKernelTls()) return expect(begin).toThrow(/TLS/);
  begin();
  const [there, back] = [new Uint8Array([1, 2, 3]), new Uint8Array(3)];
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.send(there, 0, there.length);
    expect(to.receive(back, 0, back.length, back.length, PATIENCE_MS)).toBe(back.length);
    expect(back).toEqual(there);
  }
});

test('what is no TCP connection, and what is no secret, is refused', () => {
  const [one, other] = native.socketPair();
  onTestFinished(() => [one, other].forEach((fd) => native.closeFd(fd)));
  expect(() => native.encryptInKernel(one, secret(1), 0, secret(2), 0)).toThrow(/TLS/);
  for (const short of [new Uint8Array(0), new Uint8Array(SECRET_BYTES - 1), new Uint8Array(SECRET_BYTES + 1)]) {
    expect(() => native.encryptInKernel(one, short, 0, secret(2), 0)).toThrow(/key and a nonce/);
    expect(() => native.encryptInKernel(one, secret(1), 0, short, 0)).toThrow(/key and a nonce/);
  }
});
