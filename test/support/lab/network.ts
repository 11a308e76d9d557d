import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { within } from './deadline.js';

const READY_LIMIT_MS = 20_000;

/** The TAP device that is the lab's end of a host's cable. */
export const tapOf = (host: number): string => `host${host}`;

/**
 * A bridge with a TAP device for each of the hosts 1 to `hosts`, in a network namespace that has no name and nothing
 * else: it is gone with the process that holds it and those that run in it. TAP devices, because they take a segment of
 * 64 KiB whole, its checksum left out (TSO), where QEMU's sockets take frames of 1,500 bytes: an emulated CPU spends
 * 0.4 ms on each frame.
 */
export class LabNetwork {
  private constructor(
    readonly pid: number,
    readonly stop: () => Promise<void>,
  ) {}

  static async start(hosts: number): Promise<LabNetwork> {
    const taps = Array.from({ length: hosts }, (_, index) => tapOf(index + 1));
    const commands = [
      'ip link add br0 type bridge mcast_snooping 0',
      ...taps.flatMap((tap) => [`ip tuntap add ${tap} mode tap vnet_hdr`, `ip link set ${tap} master br0 up`]),
      'ip link set br0 up',
      'echo ready',
      'exec sleep infinity',
    ];
    // It ends when this process does, however that ends.
    const program = ['--pdeathsig', 'KILL', '--', 'unshare', '--net', '--', 'sh', '-e', '-c', commands.join('\n')];
    const child = spawn('setpriv', program, { stdio: ['ignore', 'pipe', 'pipe'] });
    let messages = '';
    child.stderr.on('data', (text: Buffer) => (messages += text.toString()));
    const ended = once(child, 'close');
    const stop = async (): Promise<void> => {
      child.kill('SIGKILL');
      await ended;
    };
    const failed = ended.then((): never => {
      throw new Error(`The lab's network cannot be made (it needs root and /dev/net/tun): ${messages.trim()}`);
    });
    try {
      await within(READY_LIMIT_MS, Promise.race([once(child.stdout, 'data'), failed]), () => `no network: ${messages}`);
      failed.catch(() => {}); // as stop() has it
      return new LabNetwork(child.pid!, stop);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** What a program is started through to be in it. */
  get launcher(): string[] {
    return ['nsenter', `--net=/proc/${this.pid}/ns/net`, '--'];
  }
}
