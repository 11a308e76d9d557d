import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostImages } from './host-images.js';
import { LabHost } from './host.js';
import { labFolder } from './paths.js';
import { startSwitch, type NetworkSwitch } from './network-switch.js';
import { socketPaths, type HostOptions } from './qemu-arguments.js';

export interface LabOptions extends Omit<HostOptions, 'number'> {
  /** 1 to 3; default 2. Two are joined by a cable; the third comes with a switch. */
  hosts?: number;
  /** Of the third host, which seldom has much to do. Default: as the others. */
  peerMemoryMib?: number;
  /** Names the console logs in .lab/logs. */
  name: string;
}

const CABLE_ENDS = 2;

function otherEnd(number: number): number {
  return number === 1 ? 2 : 1;
}

/** Virtual hosts that boot together, on one network. */
export class Lab {
  readonly #sockets: string;
  readonly #networkSwitch: NetworkSwitch | undefined;

  private constructor(
    readonly hosts: readonly LabHost[],
    sockets: string,
    networkSwitch: NetworkSwitch | undefined,
  ) {
    this.#sockets = sockets;
    this.#networkSwitch = networkSwitch;
  }

  static async start({ hosts = 2, name, peerMemoryMib, ...options }: LabOptions): Promise<Lab> {
    const images = await hostImages();
    const sockets = mkdtempSync(join(tmpdir(), 'postcopy-lab-'));
    const switched = hosts > CABLE_ENDS;
    const networkSwitch = switched ? startSwitch(sockets, hosts) : undefined;
    const boots = Array.from({ length: hosts }, (_, index) => {
      const number = index + 1;
      const own = number > CABLE_ENDS && peerMemoryMib !== undefined ? { memoryMib: peerMemoryMib } : {};
      const linkPeer = switched ? socketPaths.port(sockets, number) : socketPaths.link(sockets, otherEnd(number));
      const consoleLog = join(labFolder('logs'), `${name}-host${number}.log`);
      return LabHost.boot({ ...options, ...own, number }, { images, sockets, linkPeer, consoleLog });
    });
    const results = await Promise.allSettled(boots);
    const up = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const lab = new Lab(up, sockets, networkSwitch);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return lab;
    await lab.close();
    throw failed.reason;
  }

  /** host(1) and so on. */
  host(number: number): LabHost {
    const host = this.hosts[number - 1];
    if (host === undefined) throw new Error(`The lab has no host ${number}.`);
    return host;
  }

  /** Ends all hosts at once; nothing of them is left but their console logs. */
  async close(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.close()));
    await this.#networkSwitch?.stop();
    rmSync(this.#sockets, { recursive: true, force: true });
  }
}
