/** Messages of the control channel. Everything that comes from the other side is checked against these schemas. */
import { z } from 'zod';
import { isCpuid } from '../../boot/cpuid-entries.js';
import { CPUS, DEFAULT_CPU } from '../../configure/cpu-setting.js';
import { DISKS_MAX } from '../../configure/disk.js';
import { MACHINES } from '../../configure/machine-setting.js';
import { RECENT_OUTPUT_BYTES } from '../../console/serial-hub.js';
import { deviceDescription } from '../../host/device-description.js';
import { SAMPLE_BLOCKS_MAX } from '../../host/disk-sample.js';
import { forEachChip } from '../../machine/machine-state.js';
import { MSR_ENTRY_BYTES } from '../../machine/msrs.js';
import { forEachPart } from '../../machine/vcpu-state.js';
import { VIRTIO_GSIS } from '../../memory/layout.js';
import { migrateOptionsSchema } from '../options.js';
import { FEATURES_MAX, FINDING_CHARACTERS_MAX, FINDINGS_MAX, FIRST_PAGES_MAX } from './protocol.js';

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes');
const bytesUpTo = (most: number) => bytes.refine(({ length }) => length <= most, `at most ${most} bytes`);
const count = z.number().int().nonnegative();
const micros = z.number().nonnegative();

const CONSTANT_MSRS_MAX = 64;
/** More than any KVM has. Without a limit, a frame of 64 KiB could hold so many that checking them takes seconds. */
const VCPUS_MAX = 4096;
/** A host has some dozens to give. */
const REASONS_MAX = 1024;

function isMsrs({ length }: Uint8Array): boolean {
  return length % MSR_ENTRY_BYTES === 0 && length <= CONSTANT_MSRS_MAX * MSR_ENTRY_BYTES;
}

const options = migrateOptionsSchema.shape;
/** Of a feature, a policy or a mode; the other end need not know it, and may tell it to its operator. */
const name = z.string().regex(/^[a-z0-9-]{1,64}$/);
const features = z.array(name).max(FEATURES_MAX);

const recentOutput = bytesUpTo(RECENT_OUTPUT_BYTES);

const file = z.object({
  role: z.enum(['kernel', 'initrd']),
  path: z.string(),
  bytes: count,
  sha256: z.string().length(64),
});

const hello = z.object({
  /** Version of the postcopy release, for messages. */
  release: z.string(),
  name: z.string(),
  /** Hand-overs so far, plus one. */
  epoch: count,
  machine: z.enum(MACHINES),
  /** Of the source's boot (/proc/sys/kernel/random/boot_id): a machine of threads moves within it. */
  bootId: z.string().max(64),
  memoryBytes: count,
  /** What a reset of the guest gives it again. */
  cpu: z.enum(CPUS).default(DEFAULT_CPU),
  /** Packed struct kvm_cpuid_entry2, one array a vCPU; empty for one that is a thread. */
  cpuid: z.array(bytes.refine(isCpuid, 'must be CPUID entries')).min(1).max(VCPUS_MAX),
  /** Packed struct kvm_msr_entry: MSRs whose value is the same for the guest's whole life; none of one that is a thread. */
  constantMsrs: bytes.refine(isMsrs, 'must be entries of 16 bytes').default(new Uint8Array(0)),
  tscKhz: count,
  /** Bytes of struct kvm_xsave with its extension. */
  xsaveBytes: count,
  /** Files that a reset of the guest reads again. */
  files: z.array(file).max(2),
  cmdline: z.string(),
  reboot: z.boolean(),
  /** By virtio-mmio slot. */
  devices: z.array(deviceDescription).max(VIRTIO_GSIS.length),
  bulkChannels: options.channels.unwrap(),
  /** The source's policy. The destination need not know it, so that a policy is no matter of versions. */
  prefetch: name,
  /** Those that the source offers. */
  features,
  /** The guest stands still, and goes on when somebody says so. */
  paused: z.boolean().default(false),
  /** When pages cross. The destination refuses one that it does not know. */
  mode: name.default('post-copy'),
});
export type Hello = z.infer<typeof hello>;

/** watch/events.ts. */
const finding = z.object({
  what: z.string().max(FINDING_CHARACTERS_MAX),
  result: z.string().max(FINDING_CHARACTERS_MAX),
});

/** More than any part has. MSRs are 16 bytes each here, and far more when they are looked at. */
const VCPU_PART_BYTES_MAX = 64 * 1024;
const vcpu = z.object(forEachPart(() => bytesUpTo(VCPU_PART_BYTES_MAX)));

/** CPUs and what is in the kernel with them, by kind of machine (machine/machine-state.ts). */
const cpu = z.discriminatedUnion('machine', [
  z.object({
    machine: z.literal('kvm'),
    vcpus: z.array(vcpu).max(VCPUS_MAX),
    chips: z.object(forEachChip(() => bytes)),
    clock: bytes,
  }),
  z.object({ machine: z.literal('threads'), vcpus: z.array(vcpu.pick({ regs: true, xsave: true })).max(VCPUS_MAX) }),
]);

const diskSample = z.object({
  id: z.string().max(20),
  offsets: z.array(count).max(SAMPLE_BLOCKS_MAX),
  hash: bytes,
});

const state = z.object({
  cpu,
  devices: z.unknown(),
  /** ram-map.ts: pages that hold data and were not in RAM; after rounds, those that the destination lacks. */
  ramMap: bytes,
  /** ram-map.ts: after rounds, pages that the destination has as they are; what it has besides is void, and reads zero. */
  held: bytes.default(new Uint8Array(0)),
  /** Of the pages that hold data, those that the vCPUs touch first: their numbers, and what is in them. */
  firstPages: z.array(count).max(FIRST_PAGES_MAX),
  firstContent: bytes,
  /** host/disk-sample.ts: what is on the disks. */
  diskSamples: z.array(diskSample).max(DISKS_MAX).default([]),
});
export type State = z.infer<typeof state>;

/** Far from what arithmetic with it could not bear: eleven days, and the year 5138. */
const SINCE_CLOCK_MAX = 1e12;
const WALL_CLOCK_MAX = 1e14;

const commit = z.object({
  epoch: count,
  /** How long ago the clocks in STATE were read when this arrives, as far as the source can tell. */
  sinceClockMicros: micros.max(SINCE_CLOCK_MAX),
  /** When they were, by the source's monotonicMicros(), as PING has it. */
  clocksAtMicros: z.number().optional(),
  /** The source's wall clock when they were, milliseconds since 1970. */
  wallClockMs: z.number().min(-WALL_CLOCK_MAX).max(WALL_CLOCK_MAX).optional(),
});

const waits = z.object({ count, mean: micros, p50: micros, p90: micros, p99: micros, max: micros });

const complete = z.object({
  faultWaitUs: waits,
  vcpuBlockedMs: z.number().nonnegative(),
  /** Of this end's memory-meter.ts. */
  peakBytes: count,
  overheadBytes: count,
});
export type Complete = z.infer<typeof complete>;

/** What a destination is to a source that it meets again. */
const standing = z.discriminatedUnion('is', [
  /** It has never run the guest of this migration, and never will. */
  z.object({ is: z.literal('never-ran') }),
  /** missing: ram-map.ts: the pages that it lacks. */
  z.object({ is: z.literal('runs'), missing: bytes }),
  /** It needs nothing more. */
  z.object({ is: z.literal('whole'), complete }),
  /** It has given the guest up, short of pages. */
  z.object({ is: z.literal('lost'), reason: z.string() }),
]);
export type Standing = z.infer<typeof standing>;

/** By type: number on the wire and body. */
export const MESSAGES = {
  hello: { tag: 1, body: hello },
  /** features: those that the destination has chosen among what HELLO offered. findings: what it has compared. */
  accept: { tag: 2, body: z.object({ features, findings: z.array(finding).max(FINDINGS_MAX).optional() }) },
  refuse: { tag: 3, body: z.object({ reasons: z.array(z.string()).min(1).max(REASONS_MAX) }) },
  state: { tag: 4, body: state },
  /** afterMicros: from STATE's arrival to this. */
  loaded: { tag: 5, body: z.object({ afterMicros: micros }) },
  commit: { tag: 6, body: commit },
  /** afterMicros: from COMMIT's arrival to the first vCPU's entry into the guest. */
  running: { tag: 7, body: z.object({ afterMicros: micros }) },
  progress: { tag: 8, body: z.object({ pagesInstalled: count, faultsWaiting: count }) },
  complete: { tag: 9, body: complete },
  bye: { tag: 10, body: z.object({}) },
  ping: { tag: 11, body: z.object({ sentAt: z.number() }) },
  pong: { tag: 12, body: z.object({ sentAt: z.number() }) },
  abort: { tag: 13, body: z.object({ reason: z.string() }) },
  /** ram-map.ts: pages that hold data while the guest still runs at the source. */
  ram: { tag: 14, body: z.object({ ramMap: bytes }) },
  lost: { tag: 15, body: z.object({ reason: z.string() }) },
  /** What the guest has written to its consoles lately, and what has come since the last of these. */
  output: { tag: 20, body: z.object({ serial: recentOutput, virtio: recentOutput }) },
  /** Since version 8: the first message of the destination on a control channel of a later generation. */
  standing: { tag: 16, body: standing },
  /** Since version 8: the source knows that the guest runs at the destination. */
  pushing: { tag: 17, body: z.object({}) },
  /** Where the feature `rounds` was chosen: pages come from here on, while the guest still runs at the source. */
  copying: { tag: 18, body: z.object({}) },
} as const;

export type MessageType = keyof typeof MESSAGES;
export type Body<T extends MessageType> = z.infer<(typeof MESSAGES)[T]['body']>;
export type Message = { [T in MessageType]: { type: T; body: Body<T> } }[MessageType];
