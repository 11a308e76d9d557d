import { expect, it } from 'vitest';
import { createTinyVm, register, RAX, takeExits, type TinyVm } from './tiny-vm.js';

/** mov dx, PORT */
const port = (number: number): number[] => [0xba, number & 0xff, number >> 8];
const IN_AL_DX = 0xec;
const OUT_DX_AL = 0xee;
const OUT_DX_AX = 0xef;
const [TRANSMITTER, INTERRUPT_ENABLE, LINE_STATUS, MODEM_STATUS] = [0x3f8, 0x3f9, 0x3fd, 0x3fe];
const TELL_AND_HALT = [0xe6, 0x80, 0xf4];

/** Shows 0x60 and 0xb0, runs the code and gives the accesses that went to the device worker before the guest halted. */
async function accesses(
  code: number[],
  { vm, vcpus, exits }: TinyVm = createTinyVm(code),
  writes = 0,
): Promise<number[]> {
  vm.showSerialStatus(writes, 0x60, 0xb0);
  vcpus[0]!.resume();
  const seen: number[] = [];
  while (seen.at(-1) !== 0x80) {
    for (const { address, isWrite, vcpu } of await takeExits(exits)) {
      seen.push(address);
      if (!isWrite) exits.complete(vcpu, 0x11, 0);
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

it('is asked for after a write to another register, until it is shown with that write seen', async () => {
  const code = [...port(INTERRUPT_ENABLE), OUT_DX_AL, ...port(LINE_STATUS), IN_AL_DX, ...TELL_AND_HALT];
  expect(await accesses(code)).toEqual([INTERRUPT_ENABLE, LINE_STATUS]);
  expect(await accesses(code, createTinyVm(code), 1)).toEqual([INTERRUPT_ENABLE]);
});

it('counts each byte of a wide write, and none of one that begins before the port or behind it', async () => {
  const read = [...port(LINE_STATUS), IN_AL_DX, ...TELL_AND_HALT];
  for (const [at, bytes] of [
    [TRANSMITTER, 1],
    [INTERRUPT_ENABLE, 2],
    [0x3ff, 1],
    [0x3f7, 0],
    [0x400, 0],
  ] as const) {
    const code = [...port(at), OUT_DX_AX, ...read];
    expect(await accesses(code, createTinyVm(code), bytes), `write to ${at.toString(16)}`).toEqual([at]);
  }
});

it('is asked for when it is hidden, by any vCPU', async () => {
  const { vm, vcpus, exits } = createTinyVm([...port(LINE_STATUS), IN_AL_DX, ...TELL_AND_HALT]);
  vm.showSerialStatus(0, 0x60, 0xb0);
  vm.hideSerialStatus();
  vcpus[0]!.resume();
  expect(await takeExits(exits)).toMatchObject([{ address: LINE_STATUS, isWrite: false }]);
});

it('takes values that are bytes only', () => {
  const { vm } = createTinyVm([0xf4]);
  expect(() => vm.showSerialStatus(0, 0x100, 0)).toThrow(RangeError);
  expect(() => vm.showSerialStatus(0, 0, -1)).toThrow(RangeError);
});
