import { beforeEach, describe, expect, it } from 'vitest';
import { REGISTER, STATUS } from '../../../../src/devices/virtio/mmio-registers.js';
import { MmioTransport } from '../../../../src/devices/virtio/mmio-transport.js';
import { QueueError } from '../../../../src/devices/virtio/virtio-device.js';
import { PostcopyError } from '../../../../src/errors.js';
import { FakeRam } from '../../memory/fake-ram.js';
import { EchoDevice } from './echo-device.js';
import { FakeInterrupt } from './fake-interrupt.js';
import { EVENT_IDX, MmioDriver } from './mmio-driver.js';
import { SOON } from './soon.js';

const VERSION_1 = 1n << 32n;
const ALL_STATUS = STATUS.acknowledge | STATUS.driver | STATUS.featuresOk | STATUS.driverOk;

let ram: FakeRam;
let interrupt: FakeInterrupt;
let device: EchoDevice;
let transport: MmioTransport;
let driver: MmioDriver;
let reports: string[];

beforeEach(() => {
  ram = new FakeRam(0x100000);
  connect(new EchoDevice(ram));
});

/** A device with its transport, as on a fresh host. */
function connect(to: EchoDevice): void {
  device = to;
  interrupt = new FakeInterrupt();
  reports = [];
  transport = new MmioTransport({
    device,
    ram,
    interrupt,
    report: (message) => void reports.push(message),
  });
  driver = new MmioDriver(transport, ram);
}

const echo = (text: string, queue = 0): string[] => {
  driver.queues[queue]!.add({ readable: [Buffer.from(text)], writable: [64] });
  driver.kick(queue);
  return driver.queues[queue]!.collect().map(({ bytes }) => Buffer.from(bytes).toString());
};

describe('identity', () => {
  it('is a version 2 device without shared memory', () => {
    expect([0x000, 0x004, 0x008, 0x00c].map((register) => driver.read(register))).toEqual([
      0x74726976, 2, 42, 0x59504350,
    ]);
    expect([0x0b0, 0x0b4, 0x0b8, 0x0bc].map((register) => driver.read(register))).toEqual(Array(4).fill(0xffffffff));
  });

  it('offers its features with VERSION_1, INDIRECT_DESC and EVENT_IDX, in two halves', () => {
    expect(driver.offered).toBe(0x1_3000_0003n);
    driver.write(REGISTER.deviceFeaturesSel, 2);
    expect(driver.read(REGISTER.deviceFeatures)).toBe(0);
  });

  it('has no registers elsewhere, none of other widths, and none to read that are for writing', () => {
    for (const offset of [0x0c0, 0x0a8, 0x020, 0x050, 0x064, 0x0f8]) expect(driver.read(offset)).toBe(0);
    expect([transport.read(0x000, 1), transport.read(0x000, 2), transport.read(0x0fd, 4)]).toEqual([0, 0, 0]);
    transport.write(REGISTER.status, 1, 1);
    transport.write(0x06e, 4, 1);
    driver.write(REGISTER.magicValue, 0);
    driver.write(0x0c0, 1);
    expect(driver.status).toBe(0);
  });
});

describe('status', () => {
  it('goes up to DRIVER_OK, which starts the device and has it look at its queues', () => {
    driver.start();
    expect(driver.status).toBe(ALL_STATUS);
    expect(device.calls).toEqual(['reset', 'start', 'process']);
    expect(device.driver?.features).toBe(0x1_3000_0003n);
    expect(device.driver?.queues.length).toBe(2);
  });

  it.each([
    ['without VERSION_1', 0x3n],
    ['with one that is not offered', VERSION_1 | 0x7n],
    ['with one of the upper half that is not offered', VERSION_1 | (1n << 40n)],
  ])('refuses FEATURES_OK %s', (_, features) => {
    driver.negotiate(features);
    expect(driver.status).toBe(STATUS.acknowledge | STATUS.driver);
    driver.addStatus(STATUS.driverOk);
    expect(driver.status).toBe(STATUS.acknowledge | STATUS.driver);
    driver.accept(VERSION_1);
    driver.addStatus(STATUS.featuresOk);
    expect(driver.status).toBe(STATUS.acknowledge | STATUS.driver | STATUS.featuresOk);
  });

  it('keeps features after FEATURES_OK, and bits that a write leaves out', () => {
    driver.negotiate(VERSION_1);
    driver.accept(VERSION_1 | 1n);
    driver.write(REGISTER.status, STATUS.driverOk);
    expect(driver.status).toBe(ALL_STATUS);
    expect(device.driver?.features).toBe(VERSION_1);
    driver.write(REGISTER.status, STATUS.failed | STATUS.deviceNeedsReset);
    expect(driver.status).toBe(ALL_STATUS | STATUS.failed);
    expect(device.calls.filter((call) => call === 'start').length).toBe(1);
  });

  it('0 resets the device and all registers', () => {
    driver.start();
    driver.queues[0]!.add({ readable: [Buffer.from('x')], writable: [1] });
    driver.kick();
    driver.write(REGISTER.queueSel, 1);
    driver.write(REGISTER.status, 0);
    expect(device.calls.at(-1)).toBe('reset');
    expect([driver.status, driver.read(REGISTER.interruptStatus)]).toEqual([0, 0]);
    expect(driver.read(REGISTER.queueNumMax)).toBe(8); // QueueSel is 0
    expect([0, 1].map((queue) => (driver.write(REGISTER.queueSel, queue), driver.read(REGISTER.queueReady)))).toEqual([
      0, 0,
    ]);
    expect(interrupt.edges).toBe(1);
    driver.write(REGISTER.queueNotify, 0);
    expect(device.calls.at(-1)).toBe('reset');
    driver.start();
    expect(echo('again')).toEqual(['again']);
  });

  it('after a reset the driver that the device knew does nothing', () => {
    driver.start();
    device.hold = true;
    driver.queues[0]!.add({ readable: [Buffer.from('x')], writable: [1] });
    driver.kick();
    const [before, { queue, chain }] = [device.driver!, device.held[0]!];
    driver.write(REGISTER.status, 0);
    queue.push(chain.head, 1);
    queue.signal();
    before.configChanged();
    expect([driver.queues[0]!.collect(), interrupt.edges, driver.read(REGISTER.configGeneration)]).toEqual([[], 0, 0]);
  });
});

describe('queues', () => {
  it('carry chains both ways, with and without event indices', () => {
    for (const features of [driver.offered, driver.offered & ~EVENT_IDX]) {
      driver.start(features);
      for (let n = 0; n < 20; n++) {
        expect(echo(`to queue 0, ${n}`)).toEqual([`to queue 0, ${n}`]);
        expect(echo(`to queue 1, ${n}`, 1)).toEqual([`to queue 1, ${n}`]);
      }
    }
  });

  it('tell their largest size, 0 for those that are none', () => {
    const sizes = [0, 1, 2, 0xffffffff].map((queue) => {
      driver.write(REGISTER.queueSel, queue);
      driver.write(REGISTER.queueReady, 1);
      return [driver.read(REGISTER.queueNumMax), driver.read(REGISTER.queueReady)];
    });
    expect(sizes).toEqual([
      [8, 1],
      [16, 1],
      [0, 0],
      [0, 0],
    ]);
  });

  it('do not change while they are ready, nor come up after DRIVER_OK', () => {
    driver.start();
    const before = transport.save().queues;
    driver.write(REGISTER.queueSel, 0);
    for (const register of [0x038, 0x080, 0x084, 0x090, 0x094, 0x0a0, 0x0a4]) driver.write(register, 0x8000);
    expect(transport.save().queues).toEqual(before);
    driver.write(REGISTER.queueReady, 2);
    expect(driver.read(REGISTER.queueReady)).toBe(1);
    driver.write(REGISTER.queueReady, 0);
    driver.write(REGISTER.queueReady, 1);
    expect(driver.read(REGISTER.queueReady)).toBe(0);
  });

  it('that are taken away finish what they have, and are empty then', () => {
    driver.start();
    device.hold = true;
    driver.queues[0]!.add({ readable: [Buffer.from('x')], writable: [1] });
    driver.kick();
    driver.write(REGISTER.queueSel, 0);
    driver.write(REGISTER.queueReady, 0);
    expect(driver.queues[0]!.collect().length).toBe(1);
    expect(device.calls.slice(-2)).toEqual(['pause', 'process']);
    device.hold = false;
    expect([echo('gone'), echo('here', 1)]).toEqual([[], ['here']]);
  });

  it('are undefined to the device unless they are ready', () => {
    driver.negotiate();
    driver.addStatus(STATUS.driverOk);
    expect(device.driver?.queues).toEqual([undefined, undefined]);
  });
});

describe('interrupts', () => {
  it('are an edge for each cause, and a status until they are acknowledged', () => {
    driver.start();
    echo('x');
    device.driver!.configChanged();
    expect(driver.read(REGISTER.interruptStatus)).toBe(3);
    driver.write(REGISTER.interruptAck, 1);
    expect([driver.read(REGISTER.interruptStatus), interrupt.edges]).toEqual([2, 2]);
    driver.write(REGISTER.interruptAck, 0xfffffffe);
    expect([driver.read(REGISTER.interruptStatus), interrupt.edges]).toEqual([0, 2]);
  });
});

describe('configuration space', () => {
  it('reads 1, 2 and 4 bytes anywhere, zeroes behind its end', () => {
    const reads = [
      [0, 4],
      [1, 4],
      [3, 2],
      [5, 1],
      [4, 4],
      [6, 4],
      [0xefc, 4],
    ].map(([offset, size]) => transport.read(0x100 + offset!, size!));
    expect(reads).toEqual([0x44332211, 0x55443322, 0x5544, 0x66, 0x6655, 0, 0]);
  });

  it('takes writes that lie in it', () => {
    transport.write(0x101, 2, 0xbbaa);
    transport.write(0x105, 1, 0xcc);
    transport.write(0x103, 4, 0);
    transport.write(0x108, 4, 0);
    expect(Buffer.from(device.space).toString('hex')).toBe('11aabb4455cc');
    Object.assign(device, { writeConfig: undefined });
    transport.write(0x100, 1, 0);
    expect(device.space[0]).toBe(0x11);
  });

  it('counts its changes', () => {
    driver.start();
    device.driver!.configChanged();
    expect(driver.read(REGISTER.configGeneration)).toBe(1);
    expect(driver.acknowledge()).toBe(2);
  });
});

describe('a device that fails', () => {
  const expectBroken = (): void => {
    expect(driver.status).toBe(ALL_STATUS | STATUS.deviceNeedsReset);
    expect(driver.read(REGISTER.interruptStatus) & 2).toBe(2);
    expect(interrupt.edges).toBeGreaterThan(0);
    expect(transport.sources).toEqual([]);
    const calls = device.calls.length;
    driver.write(REGISTER.queueNotify, 0);
    driver.write(REGISTER.status, ALL_STATUS);
    expect(device.calls.slice(calls)).toEqual([]);
    expect(reports.length).toBe(1);
    device.failures.clear();
    driver.start();
    expect(echo('again')).toEqual(['again']);
  };

  it.each<[string, () => void]>([
    ['start', () => driver.start()],
    ['process', () => driver.write(REGISTER.queueNotify, 0)],
    ['config', () => expect(transport.read(0x100, 4)).toBe(0)],
    ['writeConfig', () => transport.write(0x100, 4, 0)],
  ])('in %s asks for a reset', (call, act) => {
    driver.start();
    device.failures.set(call, new Error('out of order'));
    act();
    expect(reports[0]).toContain('out of order');
    expectBroken();
  });

  it('because of a queue that cannot be', () => {
    driver.negotiate();
    driver.write(REGISTER.queueNum, 7);
    driver.write(REGISTER.queueReady, 1);
    driver.addStatus(STATUS.driverOk);
    expect(reports[0]).toContain('queue size of 7');
    expectBroken();
  });

  it('because of a chain that cannot be', () => {
    driver.start();
    driver.queues[0]!.offer(8);
    driver.kick();
    expectBroken();
  });

  it('because of a chain found while it pauses', () => {
    driver.start();
    device.failures.set('pause', new QueueError('bad'));
    transport.pause(SOON);
    transport.resume();
    expectBroken();
  });

  it('in a source, whose fellows are not run any more', () => {
    const runs: number[] = [];
    device = new EchoDevice(ram);
    device.sources.push(
      { fd: 7, events: 1, run: () => device.driver!.queues[0]!.push(9, 0) },
      { fd: 8, events: 4, run: (revents) => void runs.push(revents) },
    );
    connect(device);
    expect(transport.sources).toEqual([]);
    driver.start();
    const sources = transport.sources;
    expect(sources.map(({ fd, events }) => [fd, events])).toEqual([
      [7, 1],
      [8, 4],
    ]);
    sources[1]!.run(4);
    for (const source of sources) source.run(1);
    expect(runs).toEqual([4]);
    expectBroken();
  });

  it('in reset() cannot be started before a reset that succeeds', () => {
    device.failures.set('reset', new Error('stuck'));
    driver.start();
    expect(driver.status & (STATUS.deviceNeedsReset | STATUS.driverOk)).toBe(STATUS.deviceNeedsReset);
    expect(interrupt.edges).toBe(0);
    device.failures.clear();
    driver.start();
    expect(driver.status).toBe(ALL_STATUS);
  });

  it('again and again is reported a few times', () => {
    for (let n = 0; n < 30; n++) {
      driver.start();
      driver.queues[0]!.offer(8);
      driver.kick();
    }
    expect(reports.length).toBe(10);
  });
});

describe('a move', () => {
  /** To another host with the same RAM. */
  const move = (to = new EchoDevice(ram)): unknown => {
    transport.pause(SOON);
    const state = structuredClone(transport.save());
    const { queues } = driver;
    connect(to);
    transport.restore(state);
    driver.queues = queues;
    return state;
  };

  it('in the middle loses nothing', () => {
    driver.start();
    device.hold = true;
    driver.queues[0]!.add({ readable: [Buffer.from('in flight')], writable: [16] });
    driver.kick();
    expect(transport.sources).toEqual([]);
    transport.pause(SOON);
    driver.queues[0]!.add({ readable: [Buffer.from('not seen')], writable: [16] });
    driver.write(REGISTER.queueNotify, 0);
    expect(device.calls.at(-1)).toBe('pause');
    move();
    expect(device.calls).toEqual(['restore', 'start']);
    expect(interrupt.edges).toBe(1);
    expect([driver.status, device.served]).toEqual([ALL_STATUS, 1]);
    transport.resume();
    expect(driver.queues[0]!.collect().map(({ bytes }) => Buffer.from(bytes).toString())).toEqual([
      'in flight',
      'not seen',
    ]);
    expect(driver.acknowledge()).toBe(1);
    expect([echo('on'), echo('and on', 1)]).toEqual([['on'], ['and on']]);
    expect(device.served).toBe(4);
  });

  it('can be rehearsed with chains in flight, but not made with them', () => {
    driver.start();
    device.hold = true;
    driver.queues[0]!.add({ readable: [Buffer.from('in flight')], writable: [16] });
    driver.kick();
    expect(transport.save().positions).toHaveLength(device.queueSizes.length);
    device.failures.set('pause', new Error('disk does not answer'));
    expect(() => transport.pause(SOON)).toThrow();
    expect(() => transport.save()).toThrow('1 chains are in flight');
  });

  it('that fails leaves the device running here', () => {
    driver.start();
    device.failures.set('pause', new Error('disk does not answer'));
    expect(() => transport.pause(SOON)).toThrow('disk does not answer');
    device.failures.clear();
    transport.resume();
    expect(echo('still here')).toEqual(['still here']);
  });

  it('before the driver came, and half way through its registers', () => {
    driver.negotiate();
    driver.write(REGISTER.queueSel, 1);
    driver.write(REGISTER.queueNum, 4);
    driver.write(REGISTER.queueDescHigh, 0xffffffff);
    const state = move();
    expect(device.calls).toEqual(['restore']);
    expect(transport.save()).toEqual(state);
    transport.resume();
    expect([device.calls, interrupt.edges]).toEqual([['restore'], 0]);
    driver.start();
    expect(echo('new')).toEqual(['new']);
  });

  it('of a broken device, which still waits for its reset', () => {
    driver.start();
    driver.queues[0]!.offer(8);
    driver.kick();
    move();
    transport.resume();
    expect(device.calls).toEqual(['restore']);
    expect(driver.status).toBe(ALL_STATUS | STATUS.deviceNeedsReset);
    expect(interrupt.edges).toBe(1);
    driver.start();
    expect(echo('again')).toEqual(['again']);
  });

  it('of state that does not fit is refused', () => {
    driver.start();
    transport.pause(SOON);
    const state = transport.save();
    const refuse = (change: object, message: string | RegExp): void => {
      connect(new EchoDevice(ram));
      expect(() => transport.restore({ ...state, ...change })).toThrow(message);
    };
    refuse({ deviceId: 2 }, 'type 2 at the source');
    refuse({ queues: state.queues.slice(1) }, '1 queues at the source');
    refuse({ features: { ...state.features, accepted: [0x80, 1] } }, '(0x80)');
    refuse({ features: { ...state.features, accepted: [3, 0] } }, 'features');
    refuse({ positions: [] }, 'lacks that of its queues');
    refuse({ positions: [null, null] }, 'lacks that of its queues');
    refuse({ queues: [{ ...state.queues[0]!, size: 16 }, state.queues[1]] }, 'cannot be used here');
    refuse({ device: { served: 'x' } }, 'cannot be used here');
    refuse({ extra: 1 }, 'same postcopy version');
    refuse({ status: 256 }, 'same postcopy version');
    refuse({ interruptStatus: 4 }, 'same postcopy version');
    refuse({ positions: [{ nextAvailable: 65536, nextUsed: 0 }, null] }, 'same postcopy version');
    expect(() => transport.restore(undefined)).toThrow(PostcopyError);
    expect(driver.status).toBe(0);
  });
});
