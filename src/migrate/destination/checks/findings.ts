/** What was compared of a VM that this host has found acceptable, in words for the operator at the source. */
import { formatSize } from '../../../basics/size.js';
import { memoryRooms } from '../../../host/memory-rooms.js';
import type { Machine } from '../../../machine/machine.js';
import { decodeMsrs } from '../../../machine/msrs.js';
import { VERSION } from '../../../version.js';
import type { Finding } from '../../../watch/events.js';
import type { Hello } from '../../wire/message.js';
import { FINDING_CHARACTERS_MAX, FINDINGS_MAX } from '../../wire/protocol.js';

export function findingsOf(hello: Hello, machine: Pick<Machine, 'hostDevices'>): Finding[] {
  const all = [
    { what: 'release there', result: `postcopy ${VERSION}` },
    { what: 'machine', result: `${hello.machine}, ${hello.cpuid.length} vCPUs` },
    ...(hello.machine === 'kvm' ? cpuFindings(hello) : []),
    ...hello.files.map(({ role, path, bytes }) => {
      return { what: role, result: `${path}, ${formatSize(bytes)}: the same by its SHA-256` };
    }),
    { what: 'memory there', result: memoryText(hello.memoryBytes) },
    ...deviceFindings(machine),
  ];
  return all.slice(0, FINDINGS_MAX).map(({ what, result }) => {
    return { what: what.slice(0, FINDING_CHARACTERS_MAX), result: result.slice(0, FINDING_CHARACTERS_MAX) };
  });
}

function cpuFindings({ cpu, cpuid, constantMsrs, xsaveBytes, tscKhz }: Hello): Finding[] {
  const features = `all that the guest was shown (${cpu}) is there: CPUID of ${cpuid.length} vCPUs, XSAVE state of ${xsaveBytes} bytes`;
  return [
    { what: 'CPU', result: features },
    { what: 'CPU registers', result: `${decodeMsrs(constantMsrs).length} MSRs are taken with their values` },
    { what: 'TSC', result: tscKhz === 0 ? 'its frequency is not known' : `${tscKhz} kHz can be had` },
  ];
}

/** The least of what this process may use. */
function memoryText(memoryBytes: number): string {
  const [least] = memoryRooms().sort((a, b) => a.available - b.available);
  const room = least === undefined ? '' : `; ${least.where} has ${formatSize(least.available)} available now`;
  return `${formatSize(memoryBytes)} of RAM can be had${room}`;
}

function deviceFindings({ hostDevices }: Pick<Machine, 'hostDevices'>): Finding[] {
  const unproven = new Set(
    hostDevices.disks.open.filter(({ config }) => config.coming?.unproven === true).map(({ config }) => config.id),
  );
  const { disks, nets } = hostDevices.status();
  return [
    ...disks.map(({ id, path, readonly }) => {
      const proof = unproven.has(id) ? 'taken as it is, unproven' : "shown to be the VM's own";
      return { what: `disk ${id}`, result: `${path}${readonly ? ', read-only' : ''}: ${proof}` };
    }),
    ...nets.map(({ id, tap }) => ({ what: `net ${id}`, result: `on ${tap}` })),
  ];
}
