import { afterAll, beforeAll, expect, test } from 'vitest';
import { sleep } from '../support/lab/deadline.js';
import { Lab } from '../support/lab/lab.js';

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.start({ name: 'hosts' });
});
afterAll(() => lab?.close());

test('a host is stock Linux with a true /dev/kvm and userfaultfd', async () => {
  const host = lab.host(1);
  expect(await host.run('uname -r')).toMatch(/-cloud-amd64\n$/);
  expect(await host.run('grep -o -w svm /proc/cpuinfo')).toBe('svm\n');
  const [kvm, uffd] = (await host.run('stat -c %F /dev/kvm /dev/userfaultfd')).trim().split('\n');
  expect(kvm).toBe('character special file');
  expect(uffd).toBe('character special file');
  expect(await host.run('hostname')).toBe('host1\n');
});

test('a host can load the addon', async () => {
  const script = 'console.log(Object.keys(require("./build/Release/postcopy.node")).length > 0)';
  expect(await lab.host(1).run(`node -e '${script}'`)).toBe('true\n');
});

test('output, errors and exit codes arrive apart and whole', async () => {
  const host = lab.host(1);
  const result = await host.exec('echo out; echo error >&2; exit 3');
  expect(result).toEqual({ stdout: 'out\n', stderr: 'error\n', code: 3 });
  expect((await host.exec('kill -TERM $$')).code).toBe(128 + 15);
  const count = 200_000;
  const numbers = await host.run(`seq 1 ${count}`);
  expect(numbers.trim().split('\n')).toEqual(Array.from({ length: count }, (_, index) => String(index + 1)));
});

test('files go there and back, also large ones', async () => {
  const host = lab.host(1);
  const text = Array.from({ length: 400_000 }, (_, index) => (index * 7919).toString(36)).join('\n');
  await host.putFile("/tmp/it's", text);
  expect(await host.getFile("/tmp/it's")).toBe(text);
});

test('a command that takes too long is ended with all its children', async () => {
  const host = lab.host(1);
  await expect(host.exec('echo begun; sleep 4321 | cat', { timeoutMs: 1500 })).rejects.toThrow(/sleep 4321.*begun/s);
  await sleep(200);
  expect((await host.exec('ps | grep -v grep | grep "sleep 4321"')).stdout).toBe('');
});

test('processes run side by side and take input while they run', async () => {
  const host = lab.host(1);
  const cats = [host.spawn('cat'), host.spawn('cat')];
  cats.forEach((cat, index) => cat.write(`to ${index}\n`));
  await Promise.all(cats.map((cat, index) => cat.output(new RegExp(`to ${index}\n`), 10_000)));
  expect(await host.run('echo meanwhile')).toBe('meanwhile\n');
  cats.forEach((cat) => cat.endInput());
  expect(await Promise.all(cats.map((cat) => cat.ended(10_000)))).toEqual([0, 0]);
});

test('the clocks of the hosts agree', async () => {
  const seconds = await Promise.all(lab.hosts.map((host) => host.run('date +%s')));
  for (const second of seconds) expect(Math.abs(Number(second) - Date.now() / 1000)).toBeLessThan(5);
});

test('the hosts reach each other, and do not with the cable pulled', async () => {
  const [one, two] = [lab.host(1), lab.host(2)];
  const ping = `ping -c 1 -W 2 ${two.address}`;
  await one.run(ping);
  await one.setLink(false);
  expect((await one.exec(ping)).code).not.toBe(0);
  await one.setLink(true);
  await one.run(`for try in 1 2 3 4 5; do ${ping} && exit 0; done; exit 1`);
});

test('TCP carries data between the hosts', async () => {
  const [one, two] = [lab.host(1), lab.host(2)];
  const server = two.spawn('nc -l -p 7000 | md5sum');
  await two.run('until netstat -ltn | grep -q :7000; do sleep 0.1; done');
  await one.run(`dd if=/dev/zero bs=1M count=32 2>/dev/null | nc -w 5 ${two.address} 7000`);
  await server.ended(30_000);
  expect(server.stdout).toMatch(/^58f06dd588d8ffb3beb46ada6309436b /);
});

test('a host whose power is cut says so to whoever waits for it', async () => {
  const two = lab.host(2);
  const asleep = two.spawn('sleep 1000');
  await two.cutPower();
  await expect(asleep.ended(10_000)).rejects.toThrow(/host2 is gone/);
  expect(() => two.spawn('true')).toThrow(/host2 is gone/);
});
