import { describe, expect, it } from 'vitest';
import { memoryRooms, ownCgroup, type ReadText } from '../../../src/host/memory-rooms.js';
import { requireHostMemory } from '../../../src/host/require-memory.js';

const MIB = 1024 * 1024;
const MEMINFO = 'MemTotal:       2097152 kB\nMemFree:          1 kB\nMemAvailable:    1048576 kB\n';
const HOST = { where: 'this host', cgroup: undefined, limit: undefined, available: 1024 * MIB };

/** A host with these files. */
function hostOf(files: Record<string, string | number>): ReadText {
  const all: Record<string, string | number> = { '/proc/meminfo': MEMINFO, ...files };
  return (path) => (path in all ? `${all[path]}\n` : undefined);
}

function v2(cgroup: string, files: Record<string, string | number>, root = '/'): ReadText {
  return hostOf({
    '/proc/self/cgroup': `0::${cgroup}`,
    '/proc/self/mountinfo':
      '22 1 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n' +
      `30 23 0:26 ${root} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate`,
    ...files,
  });
}

const under = (path: string, files: Record<string, string | number>) =>
  Object.fromEntries(Object.entries(files).map(([name, value]) => [`/sys/fs/cgroup${path}/memory.${name}`, value]));

describe('memoryRooms', () => {
  it('is what the host has available', () => {
    expect(memoryRooms(hostOf({}))).toEqual([HOST]);
    expect(memoryRooms(() => undefined)).toEqual([{ ...HOST, available: Infinity }]);
  });

  it('has the limits of all cgroups up to the root, the lower of memory.max and memory.high', () => {
    const read = v2('/vms.slice/web.service', {
      ...under('/vms.slice/web.service', { max: 'max', high: 300 * MIB, current: 240 * MIB }),
      ...under('/vms.slice', {
        max: 500 * MIB,
        high: 600 * MIB,
        current: 450 * MIB,
        stat: `inactive_file ${30 * MIB}`,
      }),
      ...under('', { stat: 'anon 5' }),
    });
    expect(memoryRooms(read)).toEqual([
      HOST,
      {
        where: 'cgroup /vms.slice/web.service',
        cgroup: '/vms.slice/web.service',
        limit: 300 * MIB,
        available: 60 * MIB,
      },
      { where: 'cgroup /vms.slice', cgroup: '/vms.slice', limit: 500 * MIB, available: 80 * MIB },
    ]);
    expect(ownCgroup(read)).toBe('/vms.slice/web.service');
  });

  it('passes over cgroups without limits, and gives nothing where more is used than may be', () => {
    const free = v2('/a', under('/a', { max: 'max', high: 'max', current: 5 }));
    expect(memoryRooms(free)).toEqual([HOST]);
    const full = v2('/a', under('/a', { max: 10, current: 20 }));
    expect(memoryRooms(full)[1]).toMatchObject({ limit: 10, available: 0 });
  });

  it('sees in a container what is mounted there', () => {
    const mounted = v2('/docker/1', under('', { max: 50, current: 20 }), '/docker/1');
    expect(memoryRooms(mounted)).toEqual([
      HOST,
      { where: 'cgroup /docker/1', cgroup: '/docker/1', limit: 50, available: 30 },
    ]);
    expect(memoryRooms(v2('/../other', under('', { max: 50, current: 20 })))).toEqual([
      HOST,
      { where: 'cgroup /', cgroup: '/', limit: 50, available: 30 },
    ]);
  });

  it('has the limits of version 1 where that has the memory controller', () => {
    const read = hostOf({
      '/proc/self/cgroup': '8:pids:/x\n4:memory:/vms\n0::/unified',
      '/proc/self/mountinfo':
        '31 23 0:27 / /cg/pids rw - cgroup cgroup rw,pids\n32 23 0:28 / /cg/memory rw - cgroup cgroup rw,memory',
      '/cg/memory/vms/memory.limit_in_bytes': 100 * MIB,
      '/cg/memory/vms/memory.usage_in_bytes': 90 * MIB,
      '/cg/memory/vms/memory.stat': `inactive_file 1\ntotal_inactive_file ${20 * MIB}\ntotal_active_file ${5 * MIB}`,
    });
    expect(memoryRooms(read)).toEqual([
      HOST,
      { where: 'cgroup /vms', cgroup: '/vms', limit: 100 * MIB, available: 35 * MIB },
    ]);
  });
});

describe('requireHostMemory', () => {
  it('refuses what does not fit the host', () => {
    requireHostMemory(1024 * MIB, hostOf({}));
    requireHostMemory(1024 * MIB, () => undefined);
    expect(() => requireHostMemory(1025 * MIB, hostOf({}))).toThrow(expect.objectContaining({ code: 'HOST_LACKS' }));
    expect(() => requireHostMemory(2048 * MIB, hostOf({}))).toThrow(
      '2 GiB of memory do not fit this host, which has 1 GiB available',
    );
  });

  it('refuses what a cgroup can never give, and not what it cannot give now', () => {
    const read = v2('/a', under('/a', { max: 256 * MIB, current: 250 * MIB }));
    requireHostMemory(256 * MIB, read);
    expect(() => requireHostMemory(257 * MIB, read)).toThrow(
      "the guest's 257 MiB of memory do not fit the limit of cgroup /a, 256 MiB",
    );
  });
});
