/**
 * The device worker: all device models of one VM, on a thread of their own. It waits in poll(2) for vCPU exits, serial
 * input and requests of the main thread, and never returns to an event loop.
 */
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { DeviceSet } from '../devices/device-set.js';
import { describeError } from '../errors.js';
import { native, POLLIN, POLLOUT } from '../native.js';
import type { DeviceReply, DeviceRequest, DeviceWorkerData } from './device-messages.js';
import { ExitDispatch } from './exit-dispatch.js';
import { SerialLine } from './serial-line.js';

const port = parentPort as MessagePort;
const data = workerData as DeviceWorkerData;

/** worker.terminate() takes effect between system calls, so none may last for ever. */
const LONGEST_WAIT_MS = 500;

const reply = (message: DeviceReply): void => port.postMessage(message);

const vm = new native.Vm(null, data.vmHandle);
const exits = new native.ExitQueue(null, data.exitQueueHandle);
const line = new SerialLine(data.serialFd);
const devices = new DeviceSet({
  setIrq: (gsi, level) => vm.setIrq(gsi, level),
  serialOutput: (bytes) => line.write(bytes),
  powerOff: () => reply({ type: 'power-off' }),
  reset: (source) => reply({ type: 'reset', source }),
  nowMicros: () => native.monotonicMicros(),
});
const dispatch = new ExitDispatch(exits, devices, (stop) => reply({ type: 'vcpu-stopped', stop }));

function answer(request: DeviceRequest): boolean {
  switch (request.type) {
    case 'save':
      reply({ type: 'answer', state: devices.save() });
      return true;
    case 'restore':
      devices.restore(request.state);
      reply({ type: 'answer' });
      return true;
    case 'close':
      reply({ type: 'answer' });
      return false;
  }
}

function answerAll(): boolean {
  native.drainEventFd(data.wakeFd);
  for (;;) {
    const next = receiveMessageOnPort(port) as { message: DeviceRequest } | undefined;
    if (next === undefined) return true;
    try {
      if (!answer(next.message)) return false;
    } catch (error) {
      reply({ type: 'refused', message: describeError(error) });
    }
  }
}

function loop(): void {
  const set = new Int32Array([exits.fd, POLLIN, 0, data.wakeFd, POLLIN, 0, data.serialFd, 0, 0]);
  for (;;) {
    set[7] = (devices.serialInputSpace() > 0 && line.open ? POLLIN : 0) | (line.blocked ? POLLOUT : 0);
    native.poll(set, line.open ? 3 : 2, LONGEST_WAIT_MS);
    if (set[2] !== 0) dispatch.run();
    if (line.open && set[8] !== 0) {
      line.flush();
      const input = line.read(devices.serialInputSpace());
      if (input !== undefined) devices.serialInput(input);
    }
    if (set[5] !== 0 && !answerAll()) return;
  }
}

reply({ type: 'ready' });
loop();
native.closeFd(data.serialFd);
// Only now may the process forget this worker: the port would keep it alive.
port.close();
