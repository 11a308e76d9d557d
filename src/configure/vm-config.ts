import { z } from 'zod';
import { PostcopyError } from '../errors.js';
import { MEMORY_BYTES_MIN } from '../memory/layout.js';
import { GIB, MIB } from '../memory/page-size.js';
import type { NetConfig } from './net-config.js';
import { netsSchema } from './net-list.js';
import { parseSerialSetting, type SerialSetting } from './serial-setting.js';
import { formatSize, parseSize } from './size.js';
import { isVmName, VM_NAME_RULE } from './vm-name.js';

/** A VM to boot, checked. Paths are absolute or relative to the working directory of the process. */
export interface VmConfig {
  name: string;
  kernel: string;
  initrd?: string;
  /** Kernel command line. */
  cmdline: string;
  /** Guest RAM, whole MiB. */
  memoryBytes: number;
  cpus: number;
  serial: SerialSetting;
  /** In the order in which the guest finds them. */
  nets: NetConfig[];
  /** A guest's reset restarts it; false: it ends the VM. */
  reboot: boolean;
}

export const CPUS_MAX = 16;
/** Page numbers are 32-bit in the addon's arrays and on the wire; this leaves them a factor of two. */
export const MEMORY_BYTES_MAX = 8192 * GIB;

export const DEFAULTS = { memory: '1G', cpus: 2, serial: 'stdio', cmdline: '', reboot: true } as const;

/** What a user gives, by flags or in a file, before it is checked. */
export const vmSettingsSchema = z.strictObject({
  name: z.string('give the VM a name (--name NAME)').refine(isVmName, { error: VM_NAME_RULE }),
  kernel: z.string('give the kernel to boot (--kernel FILE)').refine(isPath, { error: 'is no path' }),
  initrd: z.string('must be a path').refine(isPath, { error: 'is no path' }).optional(),
  cmdline: z.string('must be text').default(DEFAULTS.cmdline),
  memory: z
    .string('must be a size in quotes, like "1G"')
    .transform(checkMemory)
    .default(() => parseSize(DEFAULTS.memory)!),
  cpus: z
    .union([z.number(), z.string().regex(/^\d+$/).transform(Number)], `must be a number from 1 to ${CPUS_MAX}`)
    .refine((cpus) => Number.isInteger(cpus) && cpus >= 1 && cpus <= CPUS_MAX, {
      error: `must be a number from 1 to ${CPUS_MAX}`,
    })
    .default(DEFAULTS.cpus),
  serial: z.string('must be text').transform(checkSerial).default({ kind: DEFAULTS.serial }),
  nets: netsSchema.default([]),
  reboot: z.boolean('must be true or false').default(DEFAULTS.reboot),
});

export type VmSettings = z.input<typeof vmSettingsSchema>;

/** Throws one BAD_CONFIG that names every problem, a line each. */
export function checkVmSettings(settings: unknown): VmConfig {
  const result = vmSettingsSchema.safeParse(settings);
  if (!result.success) throw new PostcopyError('BAD_CONFIG', describeProblems(result.error).join('\n'));
  const { memory, ...rest } = result.data;
  return { ...rest, memoryBytes: memory };
}

/** One line for each thing that is wrong. */
export function describeProblems(error: z.ZodError): string[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => `${[...issue.path, key].join('.')}: there is no such setting`);
    }
    const where = issue.path.join('.');
    return [where === '' ? issue.message : `${where}: ${issue.message}`];
  });
}

type Context = z.RefinementCtx;

function checkMemory(text: string, context: Context): number {
  const bytes = parseSize(text);
  const problem =
    bytes === undefined ? `'${text}' is no size: give a number with K, M, G or T, like 512M` : memoryProblem(bytes);
  if (problem === undefined) return bytes!;
  context.addIssue({ code: 'custom', message: problem });
  return z.NEVER;
}

function memoryProblem(bytes: number): string | undefined {
  if (bytes < MEMORY_BYTES_MIN)
    return `${formatSize(bytes)} is too little: a guest needs ${formatSize(MEMORY_BYTES_MIN)}`;
  if (bytes > MEMORY_BYTES_MAX) return `${formatSize(bytes)} is too much: the limit is ${formatSize(MEMORY_BYTES_MAX)}`;
  return bytes % MIB === 0 ? undefined : 'must be a whole number of MiB';
}

function checkSerial(text: string, context: Context): SerialSetting {
  try {
    return parseSerialSetting(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
    return z.NEVER;
  }
}

function isPath(text: string): boolean {
  return text !== '' && !text.includes('\0');
}
