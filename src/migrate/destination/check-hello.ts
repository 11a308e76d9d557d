/** Everything that makes this host refuse a VM, all of it at once, before the guest is stopped at the source. */
import { readFile } from 'node:fs/promises';
import { missingFeatures } from '../../boot/cpuid.js';
import { MEMORY_BYTES_MIN } from '../../memory/layout.js';
import { isPageAligned, mebibytesFor } from '../../memory/page-size.js';
import { native } from '../../native.js';
import type { Hello } from '../message.js';
import { bootFileObjections } from './check-boot-file.js';

/** KVM takes TSC frequencies this close for the same (tsc_tolerance_ppm of the kvm module). */
const TSC_TOLERANCE = 250e-6;

export async function objectionsTo(hello: Hello): Promise<string[]> {
  const objections = [...shapeObjections(hello), ...cpuObjections(hello), ...(await memoryObjections(hello))];
  for (const file of hello.files) objections.push(...(await bootFileObjections(file, hello.memoryBytes)));
  return objections;
}

function shapeObjections(hello: Hello): string[] {
  const objections: string[] = [];
  if (hello.memoryBytes < MEMORY_BYTES_MIN || !isPageAligned(hello.memoryBytes)) {
    objections.push(`${hello.memoryBytes} bytes of RAM are no possible size`);
  }
  const most = native.kvmProbe().capabilities['maxVcpus'] ?? 1;
  if (hello.cpuid.length > most) objections.push(`it has ${hello.cpuid.length} vCPUs; this host can give ${most}`);
  return objections;
}

function cpuObjections(hello: Hello): string[] {
  const missing = missingFeatures(hello.cpuid[0]!, native.kvmSupportedCpuid());
  return missing.length === 0 ? [] : [`this host's CPU lacks ${missing.join(', ')}`];
}

/** `hostKhz`: of the vCPUs made here, after the guest's frequency was asked for; 0 if unknown. */
export function tscObjections(guestKhz: number, hostKhz: number): string[] {
  if (guestKhz === 0 || hostKhz === 0) return [];
  if (Math.abs(guestKhz - hostKhz) <= hostKhz * TSC_TOLERANCE) return [];
  return [`its TSC runs at ${guestKhz} kHz; this host's at ${hostKhz} kHz, and its CPU cannot scale it`];
}

async function memoryObjections(hello: Hello): Promise<string[]> {
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(await readFile('/proc/meminfo', 'utf8'));
  const bytes = Number(available?.[1] ?? 0) * 1024;
  if (bytes >= hello.memoryBytes) return [];
  return [
    `it has ${mebibytesFor(hello.memoryBytes)} MiB of RAM; ${mebibytesFor(bytes)} MiB are available on this host`,
  ];
}
