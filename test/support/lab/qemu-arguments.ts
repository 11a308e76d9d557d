import { join } from 'node:path';
import type { DebianRelease } from './debian-packages.js';
import type { HostImages } from './host-images.js';
import { tapOf, type LabNetwork } from './network.js';

export interface HostDisk {
  /** A raw image on this machine. */
  file: string;
  /** Every host sees what the others write, as on a SAN, and the file keeps it; otherwise the writes are thrown away. */
  shared: boolean;
}

export interface HostOptions {
  /** 1 to 3: the last part of its address, 10.77.0.NUMBER, and its name, hostNUMBER. */
  number: number;
  /** Whose kernel it has: bookworm's 6.1 (the default), or trixie's 6.12. */
  debian?: DebianRelease;
  /** Default 2048. */
  memoryMib?: number;
  /**
   * Default 1, and nothing that must hold uses more. QEMU 7.2's emulation of two CPUs breaks KVM guests: huge pages of a
   * guest's RAM, split and collapsed from outside while it runs, with no migration, ended it after 7,599 (postcopy, a
   * triple fault) and 22,791 (QEMU as the host's VMM, why is not known). On one CPU 16,709 passed, on a true /dev/kvm 17,306.
   */
  cpus?: number;
  /** Besides its own: /dev/vdc, /dev/vdd and so on. */
  disks?: readonly HostDisk[];
}

export interface HostFiles {
  /** The command that starts the emulator. */
  emulator: readonly string[];
  images: HostImages;
  /** Folder of the lab's unix sockets: short, their paths may have 107 bytes. */
  sockets: string;
  network: LabNetwork;
  consoleLog: string;
}

const DEFAULT_MEMORY_MIB = 2048;
const PORT_NAME = 'lab.agent';
/** QMP's name for the host's cable. */
export const LINK_ID = 'link';

export const socketPaths = {
  agent: (sockets: string, number: number): string => join(sockets, `agent${number}`),
  qmp: (sockets: string, number: number): string => join(sockets, `qmp${number}`),
};

function diskArguments(disk: HostDisk, index: number): string[] {
  const id = `disk${index}`;
  // What one host has written, this machine's page cache has, and so the other hosts: flushing it further is of no use.
  const access = disk.shared ? 'cache=unsafe,file.locking=off' : 'snapshot=on';
  const device = `virtio-blk-pci,drive=${id}${disk.shared ? `,share-rw=on,serial=${id}` : ''}`;
  return ['-drive', `if=none,id=${id},format=raw,file=${disk.file},${access}`, '-device', device];
}

/**
 * tsc=reliable: on busy cores the watchdog would take the emulated TSC for a bad one, and KVM its guests' clock away.
 * nohz=off highres=off: QEMU 7.2 now and then loses an interrupt while it leaves a guest (not the local APIC's alone: the
 * HPET's as well). A timer that is armed for one shot is armed no more then: once in a minute or two all timers of the host,
 * its guests' among them, stood still for up to 40 s. A periodic one goes on.
 */
const KERNEL_SETTINGS = 'mitigations=off tsc=reliable nohz=off highres=off';

/**
 * A virtual host with AMD SVM in emulation. Its own disks are snapshots, thrown away at its end.
 */
export function qemuArguments(host: HostOptions, { images, sockets, consoleLog }: HostFiles): string[] {
  const boot = images.boot[host.debian ?? 'bookworm'];
  const own = [images.system, images.project].map((file) => ({ file, shared: false }));
  return [
    ...['-accel', 'tcg', '-cpu', 'EPYC', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-m', String(host.memoryMib ?? DEFAULT_MEMORY_MIB), '-smp', String(host.cpus ?? 1)],
    ...['-kernel', boot.kernel, '-initrd', boot.initramfs],
    ...['-append', `console=ttyS0 panic=-1 quiet ${KERNEL_SETTINGS} lab.host=${host.number}`],
    ...[...own, ...(host.disks ?? [])].flatMap(diskArguments),
    ...['-serial', `file:${consoleLog}`],
    ...['-device', `virtio-net-pci,romfile=,netdev=${LINK_ID},mac=52:54:00:00:00:0${host.number}`],
    ...['-netdev', `tap,id=${LINK_ID},ifname=${tapOf(host.number)},script=no,downscript=no`],
    ...['-chardev', `socket,id=agent,path=${socketPaths.agent(sockets, host.number)}`],
    ...['-device', 'virtio-serial-pci', '-device', `virtserialport,chardev=agent,name=${PORT_NAME}`],
    ...['-chardev', `socket,id=qmp,path=${socketPaths.qmp(sockets, host.number)}`, '-mon', 'chardev=qmp,mode=control'],
  ];
}
