import { formatSize } from '../basics/size.js';
import { MEMORY_BYTES_MIN } from '../memory/layout.js';
import { availableBytes, MEMINFO, meminfoBytes } from '../memory/meminfo.js';
import { GIB } from '../memory/page-size.js';
import { fail, ok, warn, type Check } from './check.js';
import type { Probes } from './probes.js';

const THP = '/sys/kernel/mm/transparent_hugepage';

export function checkMemory(probes: Probes): Check[] {
  const meminfo = probes.read(MEMINFO) ?? '';
  return [availableMemory(meminfo), hugePages(meminfo), ...transparentHugePages(probes)];
}

function availableMemory(meminfo: string): Check {
  const available = availableBytes(meminfo);
  if (available === undefined) return warn('memory', `${MEMINFO} does not tell`, 'mount /proc');
  const found = `${formatSize(available)} available`;
  if (available < MEMORY_BYTES_MIN) {
    return fail('memory', found, `the smallest guest has ${formatSize(MEMORY_BYTES_MIN)}: free some memory`);
  }
  return available < GIB
    ? warn('memory', found, 'guests have 1 GiB unless told otherwise: give less with --memory')
    : ok('memory', found);
}

/** None is needed: it is told, because who wants them has to reserve them. */
function hugePages(meminfo: string): Check {
  const total = Number(/^HugePages_Total:\s+(\d+)$/m.exec(meminfo)?.[1] ?? 0);
  const free = Number(/^HugePages_Free:\s+(\d+)$/m.exec(meminfo)?.[1] ?? 0);
  if (total === 0) return ok('reserved huge pages', 'none (none are needed)');
  return ok(
    'reserved huge pages',
    `${total} of ${formatSize(meminfoBytes(meminfo, 'Hugepagesize') ?? 0)}, ${free} free`,
  );
}

/** Both files show all choices with the present one in brackets (Documentation/admin-guide/mm/transhuge.rst). */
function transparentHugePages(probes: Probes): Check[] {
  const choice = (file: string) => /\[(\w+)\]/.exec(probes.read(`${THP}/${file}`) ?? '')?.[1];
  const anonymous = choice('enabled');
  const name = 'transparent huge pages';
  if (anonymous === undefined) return [warn(name, 'this kernel has none', 'guests run, a little slower')];
  const found = `anonymous ${anonymous}, shmem ${choice('shmem_enabled') ?? 'none'}`;
  if (anonymous !== 'never') return [ok(name, found)];
  return [warn(name, found, `guests run a little faster with: echo madvise > ${THP}/enabled`)];
}
