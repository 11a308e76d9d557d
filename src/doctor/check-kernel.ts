import { ok, warn, type Check } from './check.js';
import type { Probes } from './probes.js';

/** The oldest kernel that is tried. */
const OLDEST: Version = [5, 15];
/** PAGEMAP_SCAN: finds the pages that hold data without a read of a pagemap entry each. */
const PAGEMAP_SCAN: Version = [6, 7];

type Version = [major: number, minor: number];

export function checkKernel(probes: Probes): Check[] {
  const { kernelRelease } = probes;
  const match = /^(\d+)\.(\d+)/.exec(kernelRelease);
  if (match === null) return [warn('kernel', kernelRelease, `Linux ${OLDEST.join('.')} or later is needed`)];
  const version: Version = [Number(match[1]), Number(match[2])];
  return [
    atLeast(version, OLDEST)
      ? ok('kernel', kernelRelease)
      : warn('kernel', kernelRelease, `not tried on kernels before ${OLDEST.join('.')}`),
    atLeast(version, PAGEMAP_SCAN)
      ? ok('pagemap scan', 'available')
      : warn(
          'pagemap scan',
          'not in this kernel',
          `pagemap is read instead, slower; Linux ${PAGEMAP_SCAN.join('.')} has it`,
        ),
  ];
}

function atLeast([major, minor]: Version, [leastMajor, leastMinor]: Version): boolean {
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}
