import { join } from 'node:path';
import type { HostImages } from './host-images.js';

export interface HostOptions {
  /** 1 or 2: the last part of its address, 10.77.0.NUMBER, and its name, hostNUMBER. */
  number: number;
  /** Default 2048. */
  memoryMib?: number;
  /** Default 1: a second one seldom pays on two cores that emulate two hosts. */
  cpus?: number;
}

export interface HostFiles {
  images: HostImages;
  /** Folder of the lab's unix sockets: short, their paths may have 107 bytes. */
  sockets: string;
  consoleLog: string;
}

export const DEFAULT_MEMORY_MIB = 2048;
export const PORT_NAME = 'lab.agent';
/** QMP's name for the link between the hosts. */
export const LINK_ID = 'link';

export const socketPaths = {
  agent: (sockets: string, number: number): string => join(sockets, `agent${number}`),
  qmp: (sockets: string, number: number): string => join(sockets, `qmp${number}`),
  link: (sockets: string, number: number): string => join(sockets, `link${number}`),
};

function peerOf(number: number): number {
  return number === 1 ? 2 : 1;
}

/**
 * A virtual host with AMD SVM in emulation. Its disks are snapshots, thrown away at its end. The link is a pair of unix
 * datagram sockets: no port to find, no order of start, frames to a host that is not there are lost, as on a wire.
 */
export function qemuArguments(host: HostOptions, { images, sockets, consoleLog }: HostFiles): string[] {
  const disk = (file: string): string[] => ['-drive', `file=${file},format=raw,if=virtio,snapshot=on`];
  const link = `local.type=unix,local.path=${socketPaths.link(sockets, host.number)}`;
  const peer = `remote.type=unix,remote.path=${socketPaths.link(sockets, peerOf(host.number))}`;
  return [
    ...['-accel', 'tcg', '-cpu', 'EPYC', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-m', String(host.memoryMib ?? DEFAULT_MEMORY_MIB), '-smp', String(host.cpus ?? 1)],
    ...['-kernel', images.kernel, '-initrd', images.initramfs],
    // tsc=reliable: on busy cores the watchdog would take the emulated TSC for a bad one, and KVM its guests' clock away.
    ...['-append', `console=ttyS0 panic=-1 quiet mitigations=off tsc=reliable lab.host=${host.number}`],
    ...disk(images.system),
    ...disk(images.project),
    ...['-serial', `file:${consoleLog}`],
    ...['-device', `virtio-net-pci,romfile=,netdev=${LINK_ID},mac=52:54:00:00:00:0${host.number}`],
    ...['-netdev', `dgram,id=${LINK_ID},${link},${peer}`],
    ...['-chardev', `socket,id=agent,path=${socketPaths.agent(sockets, host.number)}`],
    ...['-device', 'virtio-serial-pci', '-device', `virtserialport,chardev=agent,name=${PORT_NAME}`],
    ...['-chardev', `socket,id=qmp,path=${socketPaths.qmp(sockets, host.number)}`, '-mon', 'chardev=qmp,mode=control'],
  ];
}
