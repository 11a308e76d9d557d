/**
 * How much memory this process may still use: what the host has available, and what each memory cgroup on the way from
 * ours to the root lets us have (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst). Behind the limit of a
 * cgroup its processes are killed (memory.max) or held up (memory.high), however much the host has.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { availableBytes, MEMINFO } from '../memory/meminfo.js';

/** A bound on memory, with what is left of it now. */
export interface MemoryRoom {
  /** As messages name it. */
  where: string;
  /** The cgroup's path below the root of its hierarchy; undefined for the host. */
  cgroup: string | undefined;
  /** Bytes that there can be at most; undefined where it is not known. */
  limit: number | undefined;
  /** Bytes that can still be used. Cached files count as free: the kernel drops them first. */
  available: number;
}

/** The content of a file; undefined if it cannot be read. */
export type ReadText = (path: string) => string | undefined;

interface Hierarchy {
  /** Where it is mounted, and which of its cgroups is seen there. */
  mount: string;
  root: string;
  limits: string[];
  usage: string;
  /** Of memory.stat: bytes of cached files. */
  cached: string[];
}

const V2 = {
  limits: ['memory.max', 'memory.high'],
  usage: 'memory.current',
  cached: ['inactive_file', 'active_file', 'slab_reclaimable'],
};
const V1 = {
  limits: ['memory.limit_in_bytes'],
  usage: 'memory.usage_in_bytes',
  cached: ['total_inactive_file', 'total_active_file'],
};

export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** The host's first, then those of cgroups with a limit, from ours up. */
export function memoryRooms(read: ReadText = readText): MemoryRoom[] {
  const available = availableBytes(read(MEMINFO) ?? '');
  const host = { where: 'this host', cgroup: undefined, limit: undefined, available: available ?? Infinity };
  return [host, ...cgroupRooms(read)];
}

/** The path of this process's memory cgroup; undefined where it has none. */
export function ownCgroup(read: ReadText = readText): string | undefined {
  return cgroupOf(read)?.path;
}

function cgroupRooms(read: ReadText): MemoryRoom[] {
  const own = cgroupOf(read);
  if (own === undefined) return [];
  const { hierarchy, path } = own;
  return pathsUp(path).flatMap((cgroup) => roomOf(hierarchy, cgroup, read) ?? []);
}

function roomOf(hierarchy: Hierarchy, cgroup: string, read: ReadText): MemoryRoom | undefined {
  const directory = directoryOf(hierarchy, cgroup);
  if (directory === undefined) return undefined;
  const number = (file: string): number => Number(read(join(directory, file)) ?? NaN); // "max" is none
  const limit = Math.min(...hierarchy.limits.map(number).filter((bytes) => bytes >= 0));
  const usage = number(hierarchy.usage);
  if (!Number.isFinite(limit) || Number.isNaN(usage)) return undefined;
  const stat = read(join(directory, 'memory.stat')) ?? '';
  const cached = hierarchy.cached.reduce((sum, field) => sum + statBytes(stat, field), 0);
  const available = Math.max(0, limit - Math.max(0, usage - cached));
  return { where: `cgroup ${cgroup}`, cgroup, limit, available };
}

function statBytes(stat: string, field: string): number {
  return Number(new RegExp(`^${field} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
}

/** The cgroup of this process in the hierarchy that has the memory controller: version 1 where that has it. */
function cgroupOf(read: ReadText): { hierarchy: Hierarchy; path: string } | undefined {
  const lines = (read('/proc/self/cgroup') ?? '').split('\n').map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
  const pathIn = (has: (controllers: string) => boolean) => lines.find((line) => line && has(line[1]!))?.[2];
  const mounts = read('/proc/self/mountinfo') ?? '';
  const old = pathIn((controllers) => controllers.split(',').includes('memory'));
  if (old !== undefined) {
    const mount = mountOf(mounts, 'cgroup', (options) => options.split(',').includes('memory'));
    return mount && { hierarchy: { ...mount, ...V1 }, path: old };
  }
  const path = pathIn((controllers) => controllers === '');
  const mount = mountOf(mounts, 'cgroup2', () => true);
  return path === undefined ? undefined : mount && { hierarchy: { ...mount, ...V2 }, path };
}

/** proc_pid_mountinfo(5): id, parent, device, root, mount point, options, fields up to "-", type, source, options. */
function mountOf(
  mountinfo: string,
  type: string,
  accepts: (options: string) => boolean,
): { mount: string; root: string } | undefined {
  for (const line of mountinfo.split('\n')) {
    const match = /^\S+ \S+ \S+ (\S+) (\S+) .* - (\S+) \S+ (\S+)$/.exec(line);
    if (match?.[3] === type && accepts(match[4]!)) return { root: match[1]!, mount: match[2]! };
  }
  return undefined;
}

/** Where a cgroup's files are; undefined for one above those that are mounted here, as in a container. */
function directoryOf({ mount, root }: Hierarchy, cgroup: string): string | undefined {
  if (root === '/') return cgroup.startsWith('/..') ? undefined : join(mount, cgroup);
  if (cgroup !== root && !cgroup.startsWith(`${root}/`)) return undefined;
  return join(mount, cgroup.slice(root.length));
}

/** /a/b, /a, /. */
function pathsUp(path: string): string[] {
  const names = path.split('/').filter((name) => name !== '');
  return Array.from({ length: names.length + 1 }, (_, i) => `/${names.slice(0, names.length - i).join('/')}`);
}
