/** What query-migrate answers (qemu qapi/migration.json, MigrationInfo), as far as it is looked at. */
import { z } from 'zod';

const info = z.looseObject({
  'total-time': z.number().default(0),
  downtime: z.number().default(0),
  ram: z
    .looseObject({
      transferred: z.number(),
      remaining: z.number(),
      normal: z.number(),
      'postcopy-requests': z.number(),
      'dirty-sync-count': z.number().default(0),
    })
    .default({ transferred: 0, remaining: 0, normal: 0, 'postcopy-requests': 0, 'dirty-sync-count': 0 }),
});

export interface MigrationInfo {
  totalMs: number;
  downtimeMs: number;
  wireBytes: number;
  /** Bytes of RAM that are still to be sent. */
  remaining: number;
  faults: number;
  /** Pages sent that were not all zero. */
  dataPages: number;
  /** How often it asked which pages are dirty: before the first pass, and behind each. */
  syncs: number;
}

export function parseMigrationInfo(answer: unknown): MigrationInfo {
  const { ram, ...rest } = info.parse(answer);
  return {
    totalMs: rest['total-time'],
    downtimeMs: rest.downtime,
    wireBytes: ram.transferred,
    remaining: ram.remaining,
    faults: ram['postcopy-requests'],
    dataPages: ram.normal,
    syncs: ram['dirty-sync-count'],
  };
}
