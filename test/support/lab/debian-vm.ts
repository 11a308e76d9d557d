import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { runHere } from './commands.js';
import { debianImage } from './debian-image.js';
import { GuestVm, serialSocket } from './guest-vm.js';
import type { LabHost } from './host.js';
import { labFolder } from './paths.js';
import type { HostDisk } from './qemu-arguments.js';
import type { RemoteProcess } from './remote-process.js';

const LOGIN_LIMIT_MS = 240_000;
const PROMPT = /root@debian:~# /;
/** In the hosts, by the order of debianDisks(). */
const ROOT_DISK = '/dev/vdc';
const BOOT_DISK = '/dev/vdd';
const BOOT_FOLDER = '/tmp/debian';
const CMDLINE = 'console=ttyS0 root=/dev/vda loglevel=1 lab.pattern_mib=16 lab.rest_us=20000 lab.tick_ms=300';
const MAC = '52:54:00:00:01:01';

/** A Debian root disk of this test's own, on storage that all hosts share, and a disk with Debian's kernel. */
export class DebianDisks {
  private constructor(
    /** The root disk's file on this machine. */
    readonly root: string,
    readonly all: readonly HostDisk[],
  ) {}

  static async make(name: string): Promise<DebianDisks> {
    const image = await debianImage();
    const root = join(labFolder('disks'), `${name}-${process.pid}.img`);
    await runHere('cp', ['--sparse=always', '--reflink=auto', image.disk, root]);
    return new DebianDisks(root, [
      { file: root, shared: true },
      { file: image.boot, shared: false },
    ]);
  }

  remove(): void {
    rmSync(this.root, { force: true });
  }
}

export interface DebianSettings {
  cpus: number;
  memoryMib?: number;
}

async function mountBoot(host: LabHost): Promise<void> {
  await host.run(`mkdir -p ${BOOT_FOLDER}; mountpoint -q ${BOOT_FOLDER} || mount -o ro ${BOOT_DISK} ${BOOT_FOLDER}`);
}

/** A Debian machine under `postcopy`: its root disk on shared storage, its network on the hosts' bridge. */
export class DebianVm extends GuestVm {
  constructor(name: string) {
    super(name, {
      run: `--disk path=${ROOT_DISK},id=root --net tap=vm0,bridge=br0,mac=${MAC},id=net0`,
      receive: `--disk path=${ROOT_DISK},id=root --net tap=vm0,bridge=br0,id=net0`,
    });
  }

  /** Boots it; resolves when root is logged in on the console. */
  async boot(host: LabHost, { cpus, memoryMib = 256 }: DebianSettings): Promise<void> {
    await mountBoot(host);
    const kernel = `--kernel ${BOOT_FOLDER}/vmlinuz --initrd ${BOOT_FOLDER}/initrd.img`;
    await this.start(host, `${kernel} --cmdline '${CMDLINE}' --memory ${memoryMib}M --cpus ${cpus}`);
    await this.#login();
  }

  /** The destination reads kernel and initrd as well: for the guest's next reset. */
  override async receive(host: LabHost, port: number): Promise<RemoteProcess> {
    await mountBoot(host);
    return super.receive(host, port);
  }

  /** The same machine under a QEMU that is in the host, with virtio-mmio as well. `qemu`: the command that starts it. */
  async bootUnderQemu(host: LabHost, qemu: string, { cpus, memoryMib = 256 }: DebianSettings): Promise<void> {
    await mountBoot(host);
    await host.run('tunctl -t vm0 && brctl addif br0 vm0 && ip link set vm0 up');
    const machine = `-accel kvm -cpu host -M microvm,acpi=on -m ${memoryMib} -smp ${cpus}`;
    const plain = `-nodefaults -no-user-config -display none -serial unix:${serialSocket(this.name)},server=on,wait=off`;
    const kernel = `-kernel ${BOOT_FOLDER}/vmlinuz -initrd ${BOOT_FOLDER}/initrd.img -append '${CMDLINE}'`;
    const disk = `-drive file=${ROOT_DISK},format=raw,if=none,id=root,cache=none -device virtio-blk-device,drive=root`;
    const net = '-netdev tap,id=net0,ifname=vm0,script=no,downscript=no -device virtio-net-device,netdev=net0';
    await this.spawn(host, `${qemu} ${machine} ${plain} ${kernel} ${disk} ${net},mac=${MAC}`);
    await this.#login();
  }

  async #login(): Promise<void> {
    await this.orItsEnd(this.console.waitFor(PROMPT, LOGIN_LIMIT_MS));
  }

  /** Runs a command in the shell on the console; what it printed. */
  async shell(command: string, timeoutMs: number): Promise<string> {
    const before = this.console.text.length;
    // The terminal echoes the command: the marks are put together only when it runs.
    this.console.send(`echo BEG''IN; ${command}; echo EN''D $?`);
    const found = await this.console.waitForAfter(before, /BEGIN\r?\n([^]*?)END (\d+)\r?\n/, timeoutMs);
    if (found[2] !== '0') throw new Error(`"${command}" ended with ${found[2]} in the guest: ${found[1]}`);
    return found[1] ?? '';
  }

  /** Starts the lab's work (test/fixtures/lab-guest) in the shell: ticks, and its commands on the console. */
  async work(): Promise<void> {
    this.console.send('lab-work');
    await this.console.moreTicks(2, LOGIN_LIMIT_MS);
  }
}
