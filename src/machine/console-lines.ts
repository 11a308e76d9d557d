/** The lines between the console ports of a machine and the host's side of them. */
import { Socket as NodeSocket } from 'node:net';
import type { ConsolePort } from '../console/console-port.js';
import { native } from '../native.js';
import type { MachineLines } from './machine.js';
import type { SerialBackend } from '../console/serial-backend.js';

/** The host's side of each console port of the guest. */
export type Consoles = Record<ConsolePort, SerialBackend>;

/** Fresh lines in place of those before; the machine's ends. Throws with none of these left open. */
export function openLines(consoles: Consoles): MachineLines {
  const serialFd = openLine(consoles.serial);
  try {
    return { serialFd, consoleFd: openLine(consoles.virtio) };
  } catch (error) {
    native.closeFd(serialFd);
    throw error;
  }
}

function openLine(console: SerialBackend): number {
  const [ours, machines] = native.socketPair();
  console.attach(new NodeSocket({ fd: ours }));
  return machines;
}
