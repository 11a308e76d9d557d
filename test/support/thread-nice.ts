import { readdirSync, readFileSync } from 'node:fs';

/** Of proc(5)'s stat, counted from behind the name, which may hold blanks. */
const NICE = 16;

/** Nice values of a process's threads of that name. */
export function threadNices(pid: number, name: string): number[] {
  const nices: number[] = [];
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'latin1');
    if (!stat.includes(` (${name}) `)) continue;
    nices.push(Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[NICE]));
  }
  return nices;
}
