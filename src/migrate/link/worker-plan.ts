/**
 * Which page channels share a worker. A wake-up across cores costs more than anything a worker does for a fault, and a
 * worker that moves pages finds a fault between two of its steps without one: where cores are few, one worker serves
 * the urgent channel and the first bulk channel. Where there are enough, faults have a worker of their own. Each end
 * decides for itself.
 */
import type { Channel } from '../wire/preamble.js';

export interface PlannedChannel {
  kind: Exclude<Channel, 'control'>;
  /** Of a bulk channel; 0 for the urgent one. */
  index: number;
}

/** Cores from which on faults have a worker to themselves: the guest, both workers and the kernel's own work. */
const ENOUGH_CORES = 4;

/**
 * The channels of each worker, the most urgent one first. The other end says how many bulk channels there are, and this host
 * how many workers: more than it has cores only take turns.
 */
export function planWorkers(bulkChannels: number, cores: number): PlannedChannel[][] {
  const urgent: PlannedChannel = { kind: 'urgent', index: 0 };
  const all = Array.from({ length: bulkChannels }, (_, index): PlannedChannel => ({ kind: 'bulk', index }));
  const workers = Math.min(bulkChannels, cores);
  const bulk = Array.from({ length: workers }, (_, worker) => all.filter(({ index }) => index % workers === worker));
  if (cores >= ENOUGH_CORES) return [[urgent], ...bulk];
  return [[urgent, ...bulk.slice(0, 1).flat()], ...bulk.slice(1)];
}
