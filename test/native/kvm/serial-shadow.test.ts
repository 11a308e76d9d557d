import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Bus } from '../../../src/devices/bus.js';
import { Serial } from '../../../src/devices/serial.js';
import { COM1_PORT, COM1_PORTS } from '../../../src/memory/layout.js';
import { BearableErrors } from '../../../src/machine/bearable-errors.js';
import { ExitDispatch } from '../../../src/machine/exit-dispatch.js';
import { FakeSurroundings } from '../../unit/devices/fake-surroundings.js';
import { readable } from '../threads.js';
import { createTinyVm, register, RAX, takeExits, type TinyVm } from '../tiny-vm.js';

/** mov dx, PORT */
const port = (number: number): number[] => [0xba, number & 0xff, number >> 8];
const IN_AL_DX = 0xec;
const OUT_DX_AL = 0xee;
const OUT_DX_AX = 0xef;
const [TRANSMITTER, INTERRUPT_ENABLE, IDENTIFICATION] = [0x3f8, 0x3f9, 0x3fa];
const [LINE_CONTROL, LINE_STATUS, MODEM_STATUS] = [0x3fb, 0x3fd, 0x3fe];
const END_PORT = 0x80;
/** Read by a guest that waits for the device to have seen what it did: the device shows again. */
const SEEN_PORT = 0x81;
const IN_AL_SEEN = [0xe4, SEEN_PORT];
const TELL_AND_HALT = [0xe6, END_PORT, 0xf4];
const KIND_PORT_ANSWERED = 4;
const SHOWN = [0x60, 0xb0, 0xc1, 0x02] as const;

/** Shows registers, runs the code and gives the accesses that went to the device worker before the guest halted. */
async function accesses(
  code: number[],
  { vm, vcpus, exits }: TinyVm = createTinyVm(code),
  writes = 0,
): Promise<number[]> {
  vm.showSerial(writes, 0, ...SHOWN);
  vcpus[0]!.resume();
  const seen: number[] = [];
  while (seen.at(-1) !== END_PORT) {
    for (const { address, isWrite, vcpu, kind } of await takeExits(exits)) {
      seen.push(address);
      if (address === SEEN_PORT) vm.showSerial(writes, 0, ...SHOWN);
      if (!isWrite && kind !== KIND_PORT_ANSWERED) exits.complete(vcpu, 0x11, 0);
    }
  }
  return seen.slice(0, -1);
}

it('is read without an exit to the device worker, and sending leaves it so', async () => {
  const code = [...port(LINE_STATUS), IN_AL_DX, 0x88, 0xc4, ...port(MODEM_STATUS), IN_AL_DX]; // mov ah, al
  const tiny = createTinyVm([...port(TRANSMITTER), OUT_DX_AL, ...code, ...TELL_AND_HALT]);
  expect(await accesses([], tiny)).toEqual([TRANSMITTER]);
  tiny.vcpus[0]!.requestPause();
  expect(tiny.vcpus[0]!.waitParked(1000)).toBe(true);
  expect(register(tiny.vcpus[0]!, RAX) & 0xffffn).toBe(0x60b0n);
});

it('is asked for after a write to another register', async () => {
  const code = [...port(LINE_CONTROL), OUT_DX_AL, ...port(LINE_STATUS), IN_AL_DX, ...TELL_AND_HALT];
  expect(await accesses(code)).toEqual([LINE_CONTROL, LINE_STATUS]);
});

it('is not shown by a device that has not seen every such write', async () => {
  const code = [...port(LINE_STATUS), IN_AL_DX, ...TELL_AND_HALT];
  expect(await accesses(code)).toEqual([]);
  expect(await accesses(code, createTinyVm(code), 1)).toEqual([LINE_STATUS]);
});

it('is asked for after a wide write to the port, but not after one that begins before it or behind it', async () => {
  const read = [...port(LINE_STATUS), IN_AL_DX, ...TELL_AND_HALT];
  for (const at of [INTERRUPT_ENABLE, LINE_CONTROL, 0x3ff]) {
    expect(await accesses([...port(at), OUT_DX_AX, ...read])).toEqual([at, LINE_STATUS]);
  }
  for (const at of [0x3f7, 0x400]) expect(await accesses([...port(at), OUT_DX_AX, ...read])).toEqual([at]);
});

it('counts each byte of a wide write, and none of one that begins before the port or behind it', async () => {
  const read = [...IN_AL_SEEN, ...port(LINE_STATUS), IN_AL_DX, ...TELL_AND_HALT];
  for (const [at, bytes] of [
    [TRANSMITTER, 1],
    [INTERRUPT_ENABLE, 2],
    [0x3ff, 1],
    [0x3f7, 0],
    [0x400, 0],
  ] as const) {
    const code = [...port(at), OUT_DX_AX, ...read];
    const name = `write to ${at.toString(16)}`;
    expect(await accesses(code, createTinyVm(code), bytes), name).toEqual([at, SEEN_PORT]);
    expect(await accesses(code, createTinyVm(code), bytes + 1), name).toEqual([at, SEEN_PORT, LINE_STATUS]);
  }
});

it('tells the device of an empty transmitter that the guest has seen, in the order of its accesses', async () => {
  const identify = [...port(IDENTIFICATION), IN_AL_DX];
  const send = [...port(TRANSMITTER), OUT_DX_AL];
  const code = [...identify, ...send, ...identify, ...identify, ...send, ...identify, ...TELL_AND_HALT];
  expect(await accesses(code)).toEqual([TRANSMITTER, IDENTIFICATION, TRANSMITTER, IDENTIFICATION]);
});

it('follows the interrupts that the guest enables', async () => {
  const enable = (value: number): number[] => [0xb0, value, ...port(INTERRUPT_ENABLE), OUT_DX_AL];
  const identify = [...port(IDENTIFICATION), IN_AL_DX];
  const code = [...enable(0), ...identify, ...enable(2), ...identify, ...identify, ...TELL_AND_HALT];
  expect(await accesses(code)).toEqual([INTERRUPT_ENABLE, INTERRUPT_ENABLE, IDENTIFICATION]);
});

it('is asked for when it is hidden, by any vCPU', async () => {
  const { vm, vcpus, exits } = createTinyVm([...port(LINE_STATUS), IN_AL_DX, ...TELL_AND_HALT]);
  vm.showSerial(0, 0, ...SHOWN);
  vm.hideSerial();
  vcpus[0]!.resume();
  expect(await takeExits(exits)).toMatchObject([{ address: LINE_STATUS, isWrite: false }]);
});

it('takes values that are bytes only', () => {
  const { vm } = createTinyVm([0xf4]);
  expect(() => vm.showSerial(0, 0, 0x100, 0, 0, 0)).toThrow(RangeError);
  expect(() => vm.showSerial(0, 0, 0, 0, 0, -1)).toThrow(RangeError);
});

const RESULTS = 0x8000;
type Step = { write: number; value: number } | { read: number };

/** What is read goes to RESULTS. */
function program(steps: Step[]): number[] {
  const code = steps.flatMap((step, index) =>
    'write' in step
      ? [0xb0, step.value, ...port(COM1_PORT + step.write), OUT_DX_AL]
      : [...port(COM1_PORT + step.read), IN_AL_DX, 0xa2, (RESULTS + index) & 0xff, (RESULTS + index) >> 8],
  );
  return [...code, ...TELL_AND_HALT];
}

/** Runs it on a vCPU, with the real device behind it. */
async function runWithShadow(steps: Step[], input: Uint8Array) {
  const { vm, vcpus, exits, memory } = createTinyVm(program(steps));
  const serial = new Serial(
    Object.assign(new FakeSurroundings(), {
      showSerial: (s: NonNullable<FakeSurroundings['serial']>) =>
        vm.showSerial(s.writes, s.events, s.lineStatus, s.modemStatus, s.identification, s.interruptEnable),
      hideSerial: () => vm.hideSerial(),
    }),
  );
  serial.restore(serial.save()); // shows it
  serial.input(input);
  const bus = new Bus();
  bus.add(COM1_PORT, COM1_PORTS, serial);
  let ended = false;
  let asked = 0;
  const dispatch = new ExitDispatch(
    exits,
    {
      portRead: (at, size) => (asked++, bus.read(at, size)),
      portWrite: (at, size, value) => (at === END_PORT ? void (ended = true) : bus.write(at, size, value)),
      portAnswered: (at, value) => bus.answered(at, value),
      mmioRead: () => 0,
      mmioWrite: () => {},
    },
    () => expect.unreachable(),
    new BearableErrors(expect.unreachable),
  );
  vcpus[0]!.resume();
  while (!ended) {
    await readable(exits.fd, exits.postedFd);
    dispatch.run();
  }
  vcpus[0]!.requestPause();
  expect(vcpus[0]!.waitParked(1000)).toBe(true);
  const read = new Uint8Array(steps.length);
  memory.read(RESULTS, read);
  return { read: [...read], state: serial.save(), asked };
}

function runWithout(steps: Step[], input: Uint8Array) {
  const serial = new Serial(new FakeSurroundings());
  serial.input(input);
  const read = steps.map((step) => {
    if ('read' in step) return serial.read(step.read);
    serial.write(step.write, 1, step.value);
    return 0;
  });
  return { read, state: serial.save() };
}

it('gives a guest what the device itself would, whatever it does', async () => {
  const often = (value: number) => fc.constant(value);
  const write = fc.record({
    write: fc.oneof({ weight: 4, arbitrary: often(0) }, { weight: 3, arbitrary: often(1) }, fc.nat(7)),
    value: fc.oneof(fc.nat(3), fc.nat(0xff)),
  });
  const read = fc.record({ read: fc.oneof({ weight: 3, arbitrary: often(2) }, fc.nat(7)) });
  const steps = fc.array(fc.oneof(write, read), { minLength: 1, maxLength: 40, size: 'max' });
  const input = fc.oneof({ weight: 3, arbitrary: fc.constant(new Uint8Array(0)) }, fc.uint8Array({ maxLength: 20 }));
  await fc.assert(
    fc.asyncProperty(steps, input, async (steps, input) => {
      const { read, state } = await runWithShadow(steps, input);
      expect({ read, state }).toEqual(runWithout(steps, input));
    }),
    { numRuns: 150 },
  );
});

it('lets a driver send without a look at the device, however much it is', async () => {
  const burst: Step[] = [{ read: 2 }, { read: 5 }, { read: 6 }, ...new Array<Step>(16).fill({ write: 0, value: 0x41 })];
  const steps: Step[] = [{ write: 1, value: 2 }, ...burst, ...burst, ...burst, { read: 2 }, { write: 1, value: 0 }];
  const { asked, state } = await runWithShadow(steps, new Uint8Array(0));
  expect(asked).toBe(0);
  expect(state).toEqual(runWithout(steps, new Uint8Array(0)).state);
});
