/** ok: as it should be. warn: works, with less. fail: VMs cannot run or move here. */
export type Level = 'ok' | 'warn' | 'fail';

export interface Check {
  name: string;
  level: Level;
  /** What is there. */
  found: string;
  /** How to get what is missing. */
  fix?: string;
}

export function ok(name: string, found: string): Check {
  return { name, level: 'ok', found };
}

export function warn(name: string, found: string, fix: string): Check {
  return { name, level: 'warn', found, fix };
}

export function fail(name: string, found: string, fix: string): Check {
  return { name, level: 'fail', found, fix };
}
