/**
 * Schemas of what a VM process answers: its description (openapi.ts) and what clients check (light-schemas.ts) are made from
 * them by `npm run schema`. A field that comes later is optional: processes of VMs outlive a change of release.
 */
import { MIGRATION_MODES } from '../migrate/options.js';
import { z } from 'zod';
import { CPUS } from '../configure/cpu-setting.js';
import { diskErrorActionSchema } from '../configure/disk.js';
import { MACHINES } from '../configure/machine-setting.js';
import { HTTP_STATUS } from './protocol.js';
import type { ProcessRights } from '../confine/process-rights.js';
import type { ArrivalProgress, LinkInterruption, VmStatus, WriteMeasure } from '../vm/service.js';
import type { HostErrorTotals } from '../devices/virtio/block/host-errors.js';
import type { DiskStatus } from '../host/host-disks.js';
import type { ChannelTrial, Finding, MigrationProgress, MigrationSummary } from '../migrate/report/summary.js';
import type { NetStatus } from '../host/host-nets.js';
import type { ErrorCode, Fact } from '../errors.js';

/** A schema for each field of the type, none left out. */
type Shape<T> = { [K in keyof Required<T>]: z.ZodType<T[K]> };

const number = z.number();
const count = z.int().min(0);
const milliseconds = z.number().meta({ description: 'Milliseconds.' });

const BANDWIDTH = 'Bytes per second that may be sent at most, as was said last; none if there is no limit.';

const machineSchema = z.enum(MACHINES).meta({
  description: "kvm, or threads of the process that run postcopy's own guest: for tests and measurements.",
});

const ERROR_CODES = Object.keys(HTTP_STATUS) as [ErrorCode, ...ErrorCode[]];

export const factsSchema = z
  .array(z.looseObject({ kind: z.string() }) as unknown as z.ZodType<Fact>)
  .optional()
  .meta({ description: 'What the message is about, for clients that have words of their own for what to do.' });

export const errorSchema = z
  .object({ error: z.object({ code: z.enum(ERROR_CODES), message: z.string(), facts: factsSchema }) })
  .meta({ description: 'Why something was not done. `code` is stable; `message` is for people.' });

export const progressSchema = z.object<Shape<MigrationProgress>>({
  phase: z
    .enum([
      'writing-back',
      'connecting',
      'preparing',
      'watching',
      'copying',
      'handing-over',
      'pulling',
      'interrupted',
      'complete',
      'failed',
      'link-lost',
    ])
    .meta({
      description:
        'writing-back: what the guest has written goes to its disks before anything is sent; watching: it is watched where the guest writes; copying: pages are sent in rounds while the guest runs at the source; interrupted: the link is broken behind the hand-over, and the ends look for each other.',
    }),
  pagesLeft: count.meta({ description: 'Pages that still have to reach the destination.' }),
  pagesTotal: count,
  bytesPerSecond: number.meta({ description: 'Sent over the last interval, all channels.' }),
  faultsWaiting: count.meta({ description: 'Demand requests received and not answered yet.' }),
  elapsedMs: milliseconds,
  bandwidth: count.optional().meta({ description: BANDWIDTH }),
  round: z
    .object<Shape<NonNullable<MigrationProgress['round']>>>({ number: count, dirtyPagesPerSecond: number })
    .optional()
    .meta({
      description: 'While copying: pagesLeft is what is left of this round; pages that the guest writes a second.',
    }),
  link: z
    .object<Shape<NonNullable<MigrationProgress['link']>>>({ roundTripUs: number, bytesPerSecond: number })
    .optional()
    .meta({
      description:
        'What the page channels showed when they were tried, before the guest stops: the shortest round trip, microseconds, and the sum of their rates, at least.',
    }),
});

const trialSchema = z.object<Shape<ChannelTrial>>({
  kind: z.enum(['urgent', 'bulk']),
  index: count.meta({ description: 'Of a bulk channel.' }),
  roundTripUs: number,
  bytesPerSecond: number.meta({ description: 'At least: a connection that is new has not reached its rate.' }),
  segmentBytes: count.optional(),
  mtu: count.optional().meta({ description: 'As TCP has it; not of a channel that goes through TLS.' }),
});

const partsSchema = z.object<Shape<MigrationSummary['downtimeParts']>>({
  stop: number,
  save: number,
  copy: number.optional(),
  map: number,
  transfer: number,
  load: number,
  commit: number,
  start: number,
});

export const summarySchema = z.object<Shape<MigrationSummary>>({
  status: z.enum(['completed', 'failed', 'link-lost', 'dry-run']).meta({
    description:
      'failed: the VM runs on at the source; link-lost: it is at the destination and may lack pages, unless inDoubt is set; dry-run: it could move now, and is as it was.',
  }),
  mode: z.enum(MIGRATION_MODES),
  machine: machineSchema,
  error: z
    .object({ code: z.string(), message: z.string(), facts: factsSchema })
    .optional()
    .meta({ description: 'Set if it failed, or the link was lost.' }),
  inDoubt: z.boolean().optional().meta({
    description:
      'Set if the link was lost before the destination said that the guest runs there: it may never have run it. The guest is whole at the source, and `resume` with `force` lets it go on there.',
  }),
  totalMs: number.meta({ description: 'From the request to the last page, source clock.' }),
  downtimeMs: number.meta({
    description: 'From the last vCPU stopped at the source to the first one running at the destination.',
  }),
  downtimeParts: partsSchema.meta({ description: 'Where the downtime went, milliseconds.' }),
  findings: z
    .array(z.object<Shape<Finding>>({ what: z.string(), result: z.string() }))
    .optional()
    .meta({ description: 'Of a dry run: what was compared and measured, for people.' }),
  channels: z
    .array(trialSchema)
    .optional()
    .meta({ description: 'Page channels as they were tried before the guest stopped.' }),
  bandwidth: count.optional().meta({ description: BANDWIDTH }),
  wireBytes: count.meta({ description: 'Handed to the sockets by the source, all channels, headers included.' }),
  pages: z
    .object<Shape<MigrationSummary['pages']>>({
      total: count,
      sent: count,
      demanded: count,
      pushed: count,
      copied: count.optional(),
      absent: count,
      zero: count,
      resent: count,
    })
    .meta({
      description:
        '4 KiB pages. copied: sent before the hand-over; absent: never written, not sent; zero: read zero, not sent; resent: more than once.',
    }),
  rounds: z
    .object<Shape<NonNullable<MigrationSummary['rounds']>>>({ count, ms: milliseconds })
    .optional()
    .meta({ description: 'In which pages were copied before the hand-over, and how long that took.' }),
  watched: z
    .object<Shape<NonNullable<MigrationSummary['watched']>>>({ ms: milliseconds, pages: count })
    .optional()
    .meta({ description: 'How long it was watched where the guest writes, and how many pages it wrote in that time.' }),
  faultWaitUs: z
    .object<Shape<MigrationSummary['faultWaitUs']>>({
      count,
      mean: number,
      p50: number,
      p90: number,
      p99: number,
      max: number,
    })
    .meta({ description: 'Microseconds from a fault read at the destination to its page installed.' }),
  vcpuBlockedMs: number.meta({ description: 'Sum of all fault waits.' }),
  memory: z
    .object<Shape<MigrationSummary['memory']>>({
      sourcePeakBytes: count,
      destinationPeakBytes: count,
      sumPeakBytes: count,
    })
    .meta({ description: 'Guest RAM resident plus what the migration itself allocated.' }),
});

const diskSchema = z.object<Shape<DiskStatus>>({
  id: z.string(),
  path: z.string(),
  readonly: z.boolean(),
  onError: diskErrorActionSchema.optional().meta({ description: 'What becomes of the guest, if that was said.' }),
  errors: z
    .object<Shape<HostErrorTotals>>({
      count,
      last: z.string(),
      at: milliseconds.meta({ description: 'Of the last: milliseconds since 1970.' }),
    })
    .optional()
    .meta({ description: 'What this host has failed since the disk was opened.' }),
});
const netSchema = z.object<Shape<NetStatus>>({ id: z.string(), mac: z.string(), tap: z.string() });

const rightsSchema = z
  .object<Shape<ProcessRights>>({
    noNewPrivileges: z.boolean().meta({ description: 'On all threads: no program that it starts gains rights.' }),
    callFilter: z.boolean().meta({ description: 'On all threads: system calls go through a filter.' }),
    capabilities: z.array(z.string()).meta({ description: 'In lower case, without CAP_.' }),
  })
  .meta({ description: 'What the process may still do on its host.' });
const interruptionSchema = z.object<Shape<LinkInterruption>>({
  since: milliseconds.meta({ description: 'Milliseconds since 1970, as nextTryAt.' }),
  reason: z.string(),
  pagesMissing: count.meta({ description: 'Pages that the destination does not have.' }),
  faultsWaiting: count.meta({ description: 'Of vCPUs and devices at the destination, as far as this end knows.' }),
  attempts: count.optional().meta({ description: 'At the source: how often it has tried to connect.' }),
  lastError: z.string().optional(),
  nextTryAt: milliseconds.optional(),
});

const arrivalSchema = z.object<Shape<ArrivalProgress>>({
  pagesMissing: count,
  bytesMissing: count,
  bytesPerSecond: number.meta({ description: 'Over the last seconds.' }),
  leftMs: milliseconds.optional().meta({
    description: 'Milliseconds that the rest takes at that rate; not while nothing comes.',
  }),
  faultsWaiting: count.meta({ description: 'Of vCPUs and devices, on pages that have not come.' }),
});

export const statusSchema = z.object<Shape<VmStatus>>({
  name: z.string(),
  pid: z.int(),
  version: z.string().meta({ description: 'Of postcopy.' }),
  machine: machineSchema,
  state: z
    .enum([
      'waiting',
      'incoming',
      'running',
      'paused',
      'migrating',
      'handed-over',
      'interrupted',
      'link-lost',
      'ending',
      'migrated',
      'stopped',
      'failed',
    ])
    .meta({
      description:
        'waiting, incoming: a VM is to come, or is being taken over; migrating: still runs here; handed-over: runs on the other host, which pulls its pages from here; interrupted: the same, with a broken link, and the ends look for each other; ending: the guest powered itself off, reset itself or failed while its pages still come, and stands still until the other host knows that the rest of them is not needed.',
    }),
  problem: z.string().optional().meta({ description: 'The last failure, if any.' }),
  facts: factsSchema,
  awaits: z.string().optional().meta({ description: 'While ending: what happened, and what is awaited.' }),
  panickedAt: milliseconds
    .optional()
    .meta({ description: 'When the kernel of the guest said that it has panicked: milliseconds since 1970.' }),
  lostPages: count.optional().meta({
    description:
      'Pages of 4 KiB of the memory of the guest that memory errors of this host, or of one that it has come from, have taken; if any. It is told of one when it comes to it.',
  }),
  memoryBytes: count.meta({ description: '0 until a VM has come.' }),
  cpu: z.enum(CPUS).optional().meta({ description: 'What the guest is shown of the CPU, once there is one.' }),
  cpus: count.meta({ description: '0 until a VM has come.' }),
  uptimeMs: milliseconds,
  listen: z.string().optional().meta({ description: 'Where `receive` listens.' }),
  peer: z.string().optional().meta({ description: 'Where the VM came from, or went to.' }),
  migration: progressSchema.optional(),
  arrival: arrivalSchema.optional().meta({
    description: 'While the VM is here, and pages of it are still at the other host: if that ends now, the VM is lost.',
  }),
  interruption: interruptionSchema.optional().meta({
    description: 'While the link of a migration is broken behind the hand-over, at either end: nothing is lost.',
  }),
  disks: z.array(diskSchema).optional(),
  nets: z.array(netSchema).optional(),
  rights: rightsSchema.optional(),
});

export const measureSchema = z.object<Shape<WriteMeasure>>({
  pages: count.meta({ description: 'Of its RAM, 4 KiB each.' }),
  dataPages: count.meta({ description: 'Pages that hold data.' }),
  cpus: count,
  xsaveBytes: count.meta({ description: 'Of the state of a vCPU.' }),
  written: z
    .array(z.object<Shape<WriteMeasure['written'][number]>>({ ms: milliseconds, pages: count }))
    .meta({ description: 'How many different pages were written within so many milliseconds; in no order.' }),
});

export const migrateLineSchema = z.union([progressSchema, z.object({ summary: summarySchema }), errorSchema]).meta({
  description: 'One line of a migration: progress, any number of times, and last the summary or an error.',
});
