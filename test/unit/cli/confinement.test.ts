import { beforeEach, expect, it, vi } from 'vitest';
import { Confinement } from '../../../src/cli/confinement.js';
import { PostcopyError } from '../../../src/errors.js';
import type { VmState } from '../../../src/vm/service.js';
import type { VmProcess } from '../../../src/vm/vm-process.js';
import { EventStream } from '../../../src/watch/stream.js';

const steps = vi.hoisted(() => ({
  confineForSetUp: vi.fn(async () => {}),
  confineForLife: vi.fn(async () => {}),
}));
vi.mock('../../../src/confine/confine.js', () => steps);

const said: string[] = [];
const say = (text: string): void => void said.push(text);

beforeEach(() => {
  said.length = 0;
  vi.clearAllMocks();
});

function vmIn(state: VmState): { vm: VmProcess; events: EventStream } {
  const events = new EventStream('vm');
  return { vm: { events, status: () => ({ state }) } as unknown as VmProcess, events };
}

it('a VM that runs has all it needs', async () => {
  const confinement = new Confinement(true, say);
  await confinement.forSetUp();
  expect(steps.confineForSetUp).toHaveBeenCalledOnce();
  confinement.forLife(vmIn('running').vm);
  await vi.waitFor(() => expect(steps.confineForLife).toHaveBeenCalledOnce());
  expect(said).toEqual([]);
});

it('one that is awaited has it when all of it has come', async () => {
  const { vm, events } = vmIn('waiting');
  new Confinement(true, say).forLife(vm);
  events.publish({ type: 'arrived', peer: 'a:1', paused: false });
  await new Promise((resolve) => setImmediate(resolve));
  expect(steps.confineForLife).not.toHaveBeenCalled();
  events.publish({ type: 'whole', peer: 'a:1' });
  events.publish({ type: 'whole', peer: 'a:1' });
  await vi.waitFor(() => expect(steps.confineForLife).toHaveBeenCalled());
  await new Promise((resolve) => setImmediate(resolve));
  expect(steps.confineForLife).toHaveBeenCalledOnce();
});

it('what a host cannot do is told, and does not end the VM', async () => {
  steps.confineForSetUp.mockRejectedValueOnce(new PostcopyError('HOST_LACKS', 'the kernel does not filter'));
  await new Confinement(true, say).forSetUp();
  expect(said).toEqual(['the process keeps rights that it does not need: the kernel does not filter']);
});

it('--no-confine', async () => {
  const confinement = new Confinement(false, say);
  await confinement.forSetUp();
  confinement.forLife(vmIn('running').vm);
  await new Promise((resolve) => setImmediate(resolve));
  expect(steps.confineForSetUp).not.toHaveBeenCalled();
  expect(steps.confineForLife).not.toHaveBeenCalled();
});
