/** The first CPU of /proc/cpuinfo and how many there are. */
export interface CpuInfo {
  vendor: string;
  model: string;
  count: number;
  flags: Set<string>;
}

export function parseCpuInfo(text: string): CpuInfo {
  const field = (name: string) => new RegExp(`^${name}\\s*:\\s*(.*)$`, 'm').exec(text)?.[1]?.trim() ?? '';
  return {
    vendor: field('vendor_id') || 'unknown vendor',
    model: field('model name') || 'unknown model',
    count: [...text.matchAll(/^processor\s*:/gm)].length,
    flags: new Set(field('flags').split(' ')),
  };
}
