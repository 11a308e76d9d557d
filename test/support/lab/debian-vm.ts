import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { runHere } from './commands.js';
import { debianImage } from './debian-image.js';
import { GuestVm, serialSocket } from './guest-vm.js';
import type { ExecResult, LabHost } from './host.js';
import { labFolder } from './paths.js';
import type { HostDisk } from './qemu-arguments.js';
import { debianStep } from './tutorial.js';
import type { RemoteProcess } from './remote-process.js';

const LOGIN_LIMIT_MS = 500_000;
const LEAVE_LIMIT_MS = 30_000;
const PROMPT = /root@web:~# /;
/** In the hosts, by the order of DebianDisks. */
const ROOT_DISK = '/dev/vdc';
const STORAGE_DISK = '/dev/vdd';
/** The tutorial's shared storage: here a disk of each host with links to the shared one. */
const STORAGE = '/srv/web';
const CMDLINE = 'console=ttyS0 root=/dev/vda';
/** Of emulated hosts, where a vCPU may wait longer for its pages than the 21 s after which a kernel complains. */
const PATIENCE = 'rcupdate.rcu_cpu_stall_timeout=120';
/** Besides that: for lab-work (test/fixtures/lab-guest). */
const LAB_CMDLINE = `${CMDLINE} loglevel=1 ${PATIENCE} lab.pattern_mib=16 lab.rest_us=20000 lab.tick_ms=300`;
const QEMU_MAC = '52:54:00:00:01:01';
const LEAVE_CONSOLE = '\x1d'; // Ctrl-]

/** A Debian root disk of this test's own, on storage that all hosts share, and one with Debian's kernel. */
export class DebianDisks {
  private constructor(
    /** The root disk's file on this machine. */
    readonly root: string,
    readonly all: readonly HostDisk[],
  ) {}

  static async make(name: string): Promise<DebianDisks> {
    const image = await debianImage(ROOT_DISK);
    const root = join(labFolder('disks'), `${name}-${process.pid}.img`);
    await runHere('cp', ['--sparse=always', '--reflink=auto', image.disk, root]);
    return new DebianDisks(root, [
      { file: root, shared: true },
      { file: image.storage, shared: false },
    ]);
  }

  remove(): void {
    rmSync(this.root, { force: true });
  }
}

export interface DebianSettings {
  cpus: number;
  memoryMib?: number;
  /** A disk besides its root disk, as `--disk` has it. */
  disk?: string;
}

async function mountStorage(host: LabHost): Promise<void> {
  await host.run(`mkdir -p ${STORAGE}; grep -q ' ${STORAGE} ' /proc/mounts || mount -o ro ${STORAGE_DISK} ${STORAGE}`);
}

/** The command that starts a VM in the background, then its life: ends when the VM does, with its log if it failed. */
function untilItsEnd(command: string): string {
  return `set -e
${command}
pid=$(postcopy status web --json | sed -n 's/.*"pid": *\\([0-9]*\\).*/\\1/p')
while kill -0 "$pid" 2>/dev/null; do sleep 1; done
[ ! -e /run/postcopy/web.log ] || { cat /run/postcopy/web.log >&2; exit 1; }`;
}

/** The tutorial's Debian machine: its root disk on shared storage, its network on the hosts' bridge. */
export class DebianVm extends GuestVm {
  /** `attached`: where it arrives it is not left in the background, so that its receiver's output can be waited for. */
  constructor(readonly attached = false) {
    super('web');
  }

  /** Boots it; resolves when root is logged in on the console. */
  async boot(host: LabHost, { cpus, memoryMib = 256, disk }: DebianSettings): Promise<void> {
    await mountStorage(host);
    const settings = {
      '--memory 512M': `--memory ${memoryMib}M`,
      '--cpus 2': `--cpus ${cpus}`,
      '--net ': disk === undefined ? '--net ' : `--disk ${disk} --net `,
      [`'${CMDLINE}'`]: `'${LAB_CMDLINE}'`,
    };
    await this.spawn(host, untilItsEnd(debianStep('run', settings)));
    await this.#login();
  }

  /** Types a command on the console that `postcopy console` joins, sees its output, and leaves. */
  async visitConsole(): Promise<void> {
    const terminal = this.here.host.spawn(debianStep('console'), { terminal: true });
    await terminal.output(/Ctrl-\] leaves/, LEAVE_LIMIT_MS);
    terminal.write("echo VIS''ITED\r");
    await terminal.output(/VISITED/, LEAVE_LIMIT_MS);
    terminal.write(LEAVE_CONSOLE);
    const code = await terminal.ended(LEAVE_LIMIT_MS);
    if (code !== 0) throw new Error(`postcopy console ended with ${code}: ${terminal.describeOutput()}`);
  }

  /** The destination reads kernel and initrd as well: for the guest's next reset. */
  override async receive(host: LabHost, port: number): Promise<RemoteProcess> {
    await mountStorage(host);
    return super.receive(host, port);
  }

  /** The tutorial's `postcopy migrate`, which tells in words what GuestVm.migrate has as an object. */
  move(to: LabHost, port: number, receiver: RemoteProcess): Promise<ExecResult> {
    const command = debianStep('migrate', { '192.0.2.2:7000': `${to.address}:${port}`, KEY: this.key });
    return this.moveBy(command, to, receiver);
  }

  /** What `postcopy status` says of it. */
  status(): Promise<string> {
    return this.here.host.run(debianStep('status'));
  }

  /** Presses its power button; resolves when it has shut down. */
  async stop(timeoutMs: number): Promise<void> {
    await this.here.host.run(debianStep('stop'), { timeoutMs });
  }

  /** The same machine under a QEMU that is in the host, with virtio-mmio as well. `qemu`: the command that starts it. */
  async bootUnderQemu(
    host: LabHost,
    qemu: string,
    { cpus, memoryMib = 256, cache }: Omit<DebianSettings, 'disk'> & { cache: string },
  ): Promise<void> {
    await mountStorage(host);
    await host.run('tunctl -t vm0 && brctl addif br0 vm0 && ip link set vm0 up');
    const machine = `-accel kvm -cpu host -M microvm,acpi=on -m ${memoryMib} -smp ${cpus}`;
    const plain = `-nodefaults -no-user-config -display none -serial unix:${serialSocket(this.name)},server=on,wait=off`;
    const kernel = `-kernel ${STORAGE}/vmlinuz -initrd ${STORAGE}/initrd.img -append '${LAB_CMDLINE}'`;
    const disk = `-drive file=${ROOT_DISK},format=raw,if=none,id=root,cache=${cache} -device virtio-blk-device,drive=root`;
    const net = '-netdev tap,id=net0,ifname=vm0,script=no,downscript=no -device virtio-net-device,netdev=net0';
    await this.spawn(host, `${qemu} ${machine} ${plain} ${kernel} ${disk} ${net},mac=${QEMU_MAC}`);
    await this.#login();
  }

  protected override receiveCommand(port: number): string {
    const place = { ':7000': `:${port} --key ${this.key}` };
    return this.attached
      ? debianStep('receive', { ...place, ' --detach': '' })
      : untilItsEnd(debianStep('receive', place));
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
