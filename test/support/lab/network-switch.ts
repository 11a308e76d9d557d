import { once } from 'node:events';
import { cableEnd, socketPaths } from './qemu-arguments.js';
import { spawnQemu } from './qemu-process.js';

export interface NetworkSwitch {
  stop(): Promise<void>;
}

/**
 * Joins the cables of hosts 1 to `ports`: a QEMU without a machine, whose hub (qemu-options: -netdev hubport) sends each
 * frame to all other ports. The hosts' network cards drop what is not for them.
 */
export function startSwitch(sockets: string, ports: number): NetworkSwitch {
  const numbers = Array.from({ length: ports }, (_, index) => index + 1);
  const plug = (number: number): string[] => [
    ...['-netdev', cableEnd(`cable${number}`, socketPaths.port(sockets, number), socketPaths.link(sockets, number))],
    ...['-netdev', `hubport,id=port${number},hubid=0,netdev=cable${number}`],
  ];
  const child = spawnQemu(['-machine', 'none', '-nodefaults', '-display', 'none', ...numbers.flatMap(plug)]);
  const ended = once(child, 'close');
  child.stderr.resume();
  return {
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
