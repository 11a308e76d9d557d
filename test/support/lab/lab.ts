import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DebianRelease } from './debian-packages.js';
import { emulator } from './emulator.js';
import { hostImages } from './host-images.js';
import { LabHost } from './host.js';
import { labFolder } from './paths.js';
import { LabNetwork } from './network.js';
import type { HostOptions } from './qemu-arguments.js';

export interface LabOptions extends Omit<HostOptions, 'number' | 'debian'> {
  /** 1 to 3; default 2. */
  hosts?: number;
  /** Whose kernels the hosts have, in their order; bookworm for those that it does not name. */
  debian?: readonly DebianRelease[];
  /** Of the third host, which seldom has much to do. Default: as the others. */
  peerMemoryMib?: number;
  /** Names the console logs in .lab/logs. */
  name: string;
}

/** The third and those after it. */
const PEERS_FROM = 3;

/** Virtual hosts that boot together, on one network. */
export class Lab {
  readonly #sockets: string;
  readonly #network: LabNetwork;

  private constructor(
    readonly hosts: readonly LabHost[],
    sockets: string,
    network: LabNetwork,
  ) {
    this.#sockets = sockets;
    this.#network = network;
  }

  static async start({ hosts = 2, name, peerMemoryMib, debian = [], ...options }: LabOptions): Promise<Lab> {
    const [qemu, images] = await Promise.all([emulator(), hostImages()]);
    const network = await LabNetwork.start(hosts);
    const sockets = mkdtempSync(join(tmpdir(), 'postcopy-lab-'));
    const boots = Array.from({ length: hosts }, (_, index) => {
      const number = index + 1;
      const own = number >= PEERS_FROM && peerMemoryMib !== undefined ? { memoryMib: peerMemoryMib } : {};
      const consoleLog = join(labFolder('logs'), `${name}-host${number}.log`);
      const files = { emulator: qemu, images, sockets, network, consoleLog };
      const release = debian[index];
      return LabHost.boot({ ...options, ...own, ...(release === undefined ? {} : { debian: release }), number }, files);
    });
    const results = await Promise.allSettled(boots);
    const up = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const lab = new Lab(up, sockets, network);
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
    await this.#network.stop();
    rmSync(this.#sockets, { recursive: true, force: true });
  }
}
