import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostImages } from './host-images.js';
import { LabHost } from './host.js';
import { labFolder } from './paths.js';
import type { HostOptions } from './qemu-arguments.js';

export interface LabOptions extends Omit<HostOptions, 'number'> {
  /** 1 or 2; default 2. */
  hosts?: number;
  /** Names the console logs in .lab/logs. */
  name: string;
}

/** Virtual hosts that boot together, joined by a link. */
export class Lab {
  readonly #sockets: string;

  private constructor(
    readonly hosts: readonly LabHost[],
    sockets: string,
  ) {
    this.#sockets = sockets;
  }

  static async start({ hosts = 2, name, ...options }: LabOptions): Promise<Lab> {
    const images = await hostImages();
    const sockets = mkdtempSync(join(tmpdir(), 'postcopy-lab-'));
    const boots = Array.from({ length: hosts }, (_, index) => {
      const consoleLog = join(labFolder('logs'), `${name}-host${index + 1}.log`);
      return LabHost.boot({ number: index + 1, ...options }, { images, sockets, consoleLog });
    });
    const results = await Promise.allSettled(boots);
    const up = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const lab = new Lab(up, sockets);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return lab;
    await lab.close();
    throw failed.reason;
  }

  /** host(1) or host(2). */
  host(number: number): LabHost {
    const host = this.hosts[number - 1];
    if (host === undefined) throw new Error(`The lab has no host ${number}.`);
    return host;
  }

  /** Ends all hosts at once; nothing of them is left but their console logs. */
  async close(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.close()));
    rmSync(this.#sockets, { recursive: true, force: true });
  }
}
