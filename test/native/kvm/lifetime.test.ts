/** The end of a process at each stage of a vCPU's life: prompt, without a crash, and without a word. */
import { describe, expect, it } from 'vitest';
import { runNode } from '../threads.js';

const SPIN = '0xeb, 0xfe';
/** mov al, [0x5000] */
const READ_PAGE_5 = '0xa0, 0x00, 0x50';
const IN_81 = '0xe4, 0x81';

/** A VM with one vCPU at 0x1000 in real mode; see tiny-vm.ts. */
const machine = (code: string) => `
  const memory = new native.GuestMemory(65536, 'anonymous');
  const vm = new native.Vm();
  vm.createIrqchip(0xfffbd000, 0xfffbc000);
  vm.setMemory(0, 0, memory, 0, 65536);
  memory.write(0x1000, Uint8Array.of(${code}, ${SPIN}));
  let vcpu = new native.Vcpu(vm, 0);
  vcpu.setCpuid(native.kvmSupportedCpuid());
  const sregs = vcpu.getState('sregs');
  sregs.fill(0, 0, 8);
  sregs.fill(0, 12, 14);
  vcpu.setState('sregs', sregs);
  const regs = vcpu.getState('regs');
  new DataView(regs.buffer).setBigUint64(128, 0x1000n, true);
  vcpu.setState('regs', regs);
`;
const EXITS = `const exits = new native.ExitQueue(null, vm.exitQueueHandle);\n`;
const BLOCKED_ON_PAGE = `
  ${machine(READ_PAGE_5)}
  const userfaultfd = new native.Userfaultfd(memory);
  userfaultfd.register(5, 1, false);
  vcpu.resume();
  if (native.poll(Int32Array.of(userfaultfd.fd, 1, 0), 1, 5000) !== 1) throw new Error('no fault');
`;
const RUNNING = `${machine(SPIN)} vcpu.resume(); vcpu.waitParked(20);`;
const WAITING_FOR_ANSWER = `
  ${machine(IN_81)} ${EXITS} vcpu.resume();
  if (native.poll(Int32Array.of(exits.fd, 1, 0), 1, 5000) !== 1) throw new Error('no exit');
`;
const quiet = { code: 0, signal: null, stdout: '', stderr: '' };

describe.concurrent('process.exit()', () => {
  it.each([
    [
      'with everything open',
      `${machine(SPIN)} new native.Userfaultfd(memory); new native.Socket('listen', '127.0.0.1', 0);`,
    ],
    ['with a vCPU that runs', RUNNING],
    ['with a vCPU that waits for a missing page', BLOCKED_ON_PAGE],
    ['with a vCPU that waits for an answer', WAITING_FOR_ANSWER],
    ['with a vCPU that is asked to park', `${RUNNING} vcpu.requestPause();`],
    ['with a vCPU whose close() failed', `${WAITING_FOR_ANSWER} if (vcpu.close(10)) throw new Error('closed');`],
    ['with a vCPU closed, its VM not', `${RUNNING} vcpu.close(5000);`],
    ['with a VM closed under a vCPU that runs', `${RUNNING} vm.close(); memory.close();`],
    ['with nothing open', `${RUNNING} vcpu.close(5000); vm.close(); memory.close();`],
  ])('%s', async (_, code) => {
    expect(await runNode(`${code} process.exit(0);`)).toEqual(quiet);
  });
});

describe.concurrent('the end of the program', () => {
  it.each([
    ['with a vCPU that runs', RUNNING],
    ['with a vCPU that waits for a missing page', BLOCKED_ON_PAGE],
    ['with all open', machine(SPIN)],
  ])('%s', async (_, code) => {
    expect(await runNode(code)).toEqual(quiet);
  });

  it('by an error is told as an error', async () => {
    const ended = await runNode(`${RUNNING} throw new Error('of ours');`);
    expect([ended.code, ended.signal]).toEqual([1, null]);
    expect(ended.stderr).toContain('of ours');
  });

  it('by a signal is that signal', async () => {
    const ended = await runNode(
      `${BLOCKED_ON_PAGE} process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000);`,
    );
    expect(ended.signal).toBe('SIGTERM');
  });
});

describe.concurrent('garbage collection', () => {
  it('does not stop a vCPU, or free what it uses', async () => {
    const code = `
      ${machine('0xb0, 0x07, 0xe6, 0x80, ' + IN_81)} ${EXITS}
      let userfaultfd = new native.Userfaultfd(memory);
      userfaultfd.register(9, 1, false);
      const { handle } = userfaultfd;
      vcpu.resume();
      vcpu = userfaultfd = undefined;
      setImmediate(() => {
        for (let i = 0; i < 4; i++) gc();
        setImmediate(() => {
          native.poll(Int32Array.of(exits.fd, 1, 0), 1, 5000);
          const records = new Uint8Array(64);
          const count = exits.take(records);
          const attached = new native.Userfaultfd(null, handle);
          console.log(count, records[24], attached.zero(9, 1));
          process.exit(0);
        });
      });`;
    expect(await runNode(code, ['--expose-gc'])).toEqual({ ...quiet, stdout: '2 7 1\n' });
  });

  it('frees the descriptors of what was closed', async () => {
    const code = `
      const open = () => require('node:fs').readdirSync('/proc/self/fd').length;
      const before = open();
      for (let i = 0; i < 20; i++) {
        const memory = new native.GuestMemory(65536, 'memfd');
        const userfaultfd = new native.Userfaultfd(memory);
        const socket = new native.Socket('listen', '127.0.0.1', 0);
        const vm = new native.Vm();
        vm.setMemory(0, 0, memory, 0, 65536);
        const vcpu = new native.Vcpu(vm, 0);
        vcpu.close(5000);
        vm.close();
        socket.close();
        userfaultfd.close();
        memory.close();
      }
      console.log(open() - before);`;
    expect(await runNode(code)).toEqual({ ...quiet, stdout: '0\n' });
  });
});
