/** Everything that makes this host refuse a VM, all of it at once, before the guest is stopped at the source. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { missingFeatures } from '../../boot/cpuid.js';
import { MEMORY_BYTES_MIN } from '../../memory/layout.js';
import { isPageAligned, mebibytesFor } from '../../memory/page-size.js';
import { native } from '../../native.js';
import type { Hello } from '../message.js';

/** KVM takes TSC frequencies this close for the same (tsc_tolerance_ppm of the kvm module). */
const TSC_TOLERANCE = 250e-6;

export async function objectionsTo(hello: Hello): Promise<string[]> {
  const objections = [...shapeObjections(hello), ...cpuObjections(hello), ...(await memoryObjections(hello))];
  for (const file of hello.files) objections.push(...(await fileObjections(file)));
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

/** The guest reads them again when it is reset here, so they must be what it was booted from. */
async function fileObjections(file: Hello['files'][number]): Promise<string[]> {
  const copy = `copy it from the source host`;
  try {
    const found = await stat(file.path);
    // Reading a device or a FIFO may never end, nor some files of /proc, which say that they are empty.
    if (!found.isFile() || found.size === 0)
      return [`${file.role} ${file.path} is no regular file with content here: ${copy}`];
    const { size } = found;
    if (size !== file.bytes)
      return [`${file.role} ${file.path} has ${size} bytes here, ${file.bytes} at the source: ${copy}`];
    const hash = createHash('sha256');
    await pipeline(createReadStream(file.path, { end: file.bytes - 1 }), hash);
    if (hash.digest('hex') === file.sha256) return [];
    return [`${file.role} ${file.path} differs from the one at the source: ${copy}`];
  } catch (error) {
    return [`${file.role} ${file.path} cannot be read here (${(error as NodeJS.ErrnoException).code}): ${copy}`];
  }
}
