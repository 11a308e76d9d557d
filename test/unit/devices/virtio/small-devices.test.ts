import { beforeEach, expect, it } from 'vitest';
import { VirtioBalloon } from '../../../../src/devices/virtio/balloon/balloon.js';
import { ReportedPages } from '../../../../src/devices/virtio/balloon/page-releaser.js';
import { VirtioConsole } from '../../../../src/devices/virtio/console/console.js';
import { REGISTER, STATUS } from '../../../../src/devices/virtio/mmio-registers.js';
import { MmioTransport } from '../../../../src/devices/virtio/mmio-transport.js';
import { VirtioRng } from '../../../../src/devices/virtio/rng/rng.js';
import type { VirtioDevice } from '../../../../src/devices/virtio/virtio-device.js';
import { pageAlignUp, pageOf } from '../../../../src/memory/page-size.js';
import { POLLIN } from '../../../../src/native.js';
import { FakeRam } from '../../memory/fake-ram.js';
import { FakeInterrupt } from './fake-interrupt.js';
import { FakeLine } from './fake-line.js';
import { MmioDriver } from './mmio-driver.js';
import { FakeRings } from './fake-rings.js';
import { SOON } from './soon.js';

// Console, entropy device and balloon behind the transport and real rings, as a driver finds them.

const RAM_BYTES = 16 * 1024 * 1024;
let ram: FakeRam;
let reports: string[];

beforeEach(() => {
  ram = new FakeRam(RAM_BYTES);
  reports = [];
});

function transportOf(device: VirtioDevice): MmioTransport {
  return new MmioTransport({
    device,
    ram,
    interrupt: new FakeInterrupt(),
    report: (message) => void reports.push(message),
  });
}

function drive(device: VirtioDevice): MmioDriver {
  const driver = new MmioDriver(transportOf(device), ram);
  driver.start();
  return driver;
}

it('the entropy device gives random bytes', () => {
  const driver = drive(new VirtioRng(ram));
  driver.queues[0]!.add({ writable: [32, 32] });
  driver.kick();
  const [used] = driver.queues[0]!.collect();
  expect(used!.written).toBe(64);
  expect(new Set(used!.bytes).size).toBeGreaterThan(10);
  expect(reports).toEqual([]);
});

it('a console moves to another host with its receive buffers and all input', () => {
  const [here, there] = [new FakeLine(), new FakeLine()];
  const source = drive(new VirtioConsole(ram, here));
  const queues = source.queues;
  for (let buffer = 0; buffer < 3; buffer++) queues[0]!.add({ writable: [8] });
  source.kick(0);
  queues[1]!.add({ readable: [Buffer.from('login: ')] });
  source.kick(1);
  here.input = 'root\n';
  expect(source.transport.sources[0]!.events).toBe(POLLIN);
  source.transport.sources[0]!.run(POLLIN);
  here.input = 'still here';
  source.transport.pause(SOON);
  expect(source.transport.sources).toEqual([]);
  const destination = transportOf(new VirtioConsole(ram, there));
  destination.restore(structuredClone(source.transport.save()));
  destination.resume();
  there.input = 'pass';
  destination.sources[0]!.run(POLLIN);
  const received = queues[0]!.collect().map(({ bytes }) => Buffer.from(bytes).toString());
  expect([here.output, here.input, received]).toEqual(['login: ', 'still here', ['root\n', 'pass']]);
  expect(reports).toEqual([]);
});

it('a balloon takes pages by number and by range, with the queues as Linux counts them', () => {
  const released: [number, number][] = [];
  const memory = { release: (first: number, count: number) => void released.push([first, count]) };
  const balloon = new VirtioBalloon(ram, new ReportedPages(memory, new Int32Array(1)));
  const driver = new MmioDriver(transportOf(balloon), ram);
  driver.negotiate();
  const [inflate, reporting] = [new FakeRings(ram, 0x100000, 128), new FakeRings(ram, 0x200000, 128)];
  driver.setQueue(0, inflate);
  driver.setQueue(1, new FakeRings(ram, 0x10000, 128));
  driver.setQueue(2, reporting);
  driver.addStatus(STATUS.driverOk);
  inflate.add({ readable: [new Uint8Array(Uint32Array.from([901, 900, 0xffffffff]).buffer)] });
  driver.write(REGISTER.queueNotify, 0);
  const address = pageAlignUp(0x300000 + 5);
  const head = reporting.build({ writable: [1] });
  reporting.setDescriptor(head, { address, length: 3 * 4096, flags: 2 });
  reporting.offer(head);
  driver.write(REGISTER.queueNotify, 2);
  expect(released).toEqual([
    [900, 2],
    [pageOf(address), 3],
  ]);
  expect([inflate.collect().length, reporting.collect().length]).toEqual([1, 1]);
  balloon.setTarget(256);
  expect(driver.acknowledge() & 2).toBe(2);
  expect(driver.read(REGISTER.config)).toBe(256);
  driver.write(REGISTER.config + 4, 2);
  expect(balloon.actual).toBe(2);
  expect(reports).toEqual([]);
});
