import { z } from 'zod';
import { PostcopyError, type Fact } from '../errors.js';
import { MEMORY_BYTES_MIN } from '../memory/layout.js';
import { GIB, MIB } from '../memory/page-size.js';
import { cpuProblem, CPUS, DEFAULT_CPU, type CpuName } from './cpu-setting.js';
import { CPUS_MAX, cpusProblem, DEFAULT_MACHINE, MACHINES, type MachineName } from './machine-setting.js';
import { settleConsoles } from './console-settings.js';
import { disksSchema, type DiskConfig } from './disk.js';
import { parseSerialSetting, SERIAL_SETTING_PATTERN, type SerialSetting } from './serial-setting.js';
import { formatSize, parseSize, SIZE_PATTERN } from '../basics/size.js';
import { VM_NAME, VM_NAME_RULE } from './vm-name.js';
import { netsSchema, type NetConfig } from './net.js';

/** A VM to boot, checked. Paths are absolute or relative to the working directory of the process. */
export interface VmConfig {
  name: string;
  machine: MachineName;
  kernel: string;
  initrd?: string | undefined;
  /** Kernel command line. */
  cmdline: string;
  /** Guest RAM, whole MiB. */
  memoryBytes: number;
  /** What the guest is shown of the host's CPU. */
  cpu: CpuName;
  cpus: number;
  serial: SerialSetting;
  /** Where the virtio console goes. */
  console: SerialSetting;
  /** In the order in which the guest finds them. */
  disks: DiskConfig[];
  nets: NetConfig[];
  /** A guest's reset restarts it; false: it ends the VM. */
  reboot: boolean;
}

/** Page numbers are 32-bit in the addon's arrays and on the wire; this leaves them a factor of two. */
const MEMORY_BYTES_MAX = 8192 * GIB;

const DEFAULTS = { memory: '1G', cpus: 2, cmdline: '', reboot: true } as const;

/** That of the kind of machine is checked when both are known. */
const MOST_CPUS = Math.max(...Object.values(CPUS_MAX));
const CPUS_RULE = `must be a number from 1 to ${MOST_CPUS}`;
const PATH = /^[^\0]+$/;
const PATH_RULE = 'is no path';

const consolePortSchema = z.string('must be text').meta({ pattern: SERIAL_SETTING_PATTERN }).transform(checkSerial);

/**
 * What a user gives, by flags or in a file, before it is checked. vm-settings.schema.json is made from it: `npm run
 * schema` after each change. What a JSON Schema cannot say by itself is in `meta`.
 */
export const vmSettingsSchema = z.strictObject({
  $schema: z.string('must be text').optional().meta({ description: 'The JSON Schema of this file, for editors.' }),
  name: z
    .string('give the VM a name')
    .regex(VM_NAME, VM_NAME_RULE)
    .meta({ description: 'Names the VM on this host: 1 to 64 letters, digits, dots, hyphens and underscores.' }),
  machine: z
    .enum(MACHINES, `must be one of ${MACHINES.join(', ')}`)
    .default(DEFAULT_MACHINE)
    .meta({
      description:
        "What its vCPUs are: kvm, or threads of the process that run postcopy's own guest (for tests and measurements).",
    }),
  kernel: z
    .string('give the kernel to boot')
    .regex(PATH, PATH_RULE)
    .meta({ description: 'A Linux bzImage, or an ELF file with a PVH entry. Relative paths begin at this file.' }),
  initrd: z.string('must be a path').regex(PATH, PATH_RULE).optional().meta({ description: 'Initial RAM disk.' }),
  cmdline: z.string('must be text').default(DEFAULTS.cmdline).meta({ description: 'Kernel command line.' }),
  memory: z
    .string('must be a size in quotes, like "1G"')
    .meta({ pattern: SIZE_PATTERN })
    .transform(checkMemory)
    .prefault(DEFAULTS.memory)
    .meta({
      description: `Guest RAM, like "512M" or "1.5G": whole MiB, ${formatSize(MEMORY_BYTES_MIN)} to ${formatSize(MEMORY_BYTES_MAX)}.`,
    }),
  cpu: z
    .enum(CPUS, `must be one of ${CPUS.join(', ')}`)
    .default(DEFAULT_CPU)
    .meta({
      description:
        'What the guest is shown of the CPU: host, all that can move, or a level of the x86-64 psABI, which moves between all hosts of the same vendor that have it.',
    }),
  cpus: z
    .union(
      [
        z.int(CPUS_RULE).min(1, CPUS_RULE).max(MOST_CPUS, CPUS_RULE),
        z
          .string(CPUS_RULE)
          .regex(/^([1-9]|[1-5][0-9]|6[0-4])$/, CPUS_RULE)
          .transform(Number),
      ],
      CPUS_RULE,
    )
    .prefault(DEFAULTS.cpus)
    .meta({ description: `vCPUs, 1 to ${CPUS_MAX.kvm}; as threads, 1 to ${CPUS_MAX.threads}.` }),
  serial: consolePortSchema.optional().meta({
    description:
      'Where the serial port (ttyS0) goes: stdio, null, file:PATH or unix:PATH (a listening socket). Default: stdio; null in the background, or when the console has it.',
  }),
  console: consolePortSchema.optional().meta({
    description: 'Where the virtio console (hvc0) goes; as serial. Only one of them can be stdio. Default: null.',
  }),
  disks: disksSchema.default([]).meta({
    description:
      'Disks, in the order in which the guest finds them: "path=FILE[,readonly][,id=ID][,format=raw][,on-error=stop|report]", or the same as an object, where on-error is onError.',
  }),
  nets: netsSchema.default([]).meta({
    description: 'Network interfaces: "tap=NAME[,bridge=NAME][,mac=MAC][,id=ID]", or the same as an object.',
  }),
  reboot: z
    .boolean('must be true or false')
    .default(DEFAULTS.reboot)
    .meta({ description: "A guest's reset starts it again; false: it ends the VM." }),
});

export type VmSettings = z.input<typeof vmSettingsSchema>;

/** Throws one BAD_CONFIG that names every problem, a line each. `background`: the process has no terminal. */
export function checkVmSettings(settings: unknown, background = false): VmConfig {
  const result = vmSettingsSchema.safeParse(settings);
  if (!result.success) {
    const problems = describeProblems(result.error).join('\n');
    throw new PostcopyError('BAD_CONFIG', problems, undefined, factsOfProblems(result.error));
  }
  const { $schema: _, memory, serial, console, ...rest } = result.data;
  const problem = cpusProblem(rest.machine, rest.cpus);
  if (problem !== undefined) throw new PostcopyError('BAD_CONFIG', `cpus: ${problem}`);
  const cpu = cpuProblem(rest.machine, rest.cpu);
  if (cpu !== undefined) throw new PostcopyError('BAD_CONFIG', `cpu: ${cpu}`);
  return { ...rest, memoryBytes: memory, ...settleConsoles({ serial, console }, background) };
}

const FACTS_OF_MISSING: Record<string, Fact> = { name: { kind: 'no-name' }, kernel: { kind: 'no-kernel' } };

function factsOfProblems({ issues }: z.ZodError): Fact[] {
  return issues.flatMap(({ code, path: [key] }) =>
    code === 'invalid_type' ? (FACTS_OF_MISSING[String(key)] ?? []) : [],
  );
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
