/**
 * The command line. Commands are loaded when they are called: inside an emulated host, loading all of them takes
 * seconds.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { namingExhausted } from './exhausted.js';
import { EXIT_OK, EXIT_USAGE, exitCodeOfError, exitCodesText } from './exit-codes.js';
import {
  DEFAULT_LOG_LEVEL,
  LOG_LEVELS,
  processOutput,
  reportError,
  say,
  type LogLevel,
  type Output,
} from './output.js';
import type { ForecastCommandOptions } from './forecast.js';
import type { MigrateCommandOptions } from './migrate.js';
import type { ReplayWords } from './replay.js';
import { migrateFlags, parseLimit } from './migrate-flags.js';
import { CPUS } from '../configure/cpu-setting.js';
import { withSecurityFlags } from './security-flags.js';
import { DEFAULT_MACHINE, MACHINES } from '../configure/machine-setting.js';
import { CONSOLE_PORTS, type ConsolePort } from '../console/console-port.js';
import { VERSION } from '../version.js';

const MACHINE_HELP = "kvm, or threads of the process that run postcopy's own guest: for tests and measurements";
const CPU_HELP = 'what the guest is shown of the CPU: host, or a level for mixed hosts (default host)';
const SERIAL_HELP = 'where the serial port goes: stdio, null, file:PATH or unix:PATH (a listening socket)';
const CONSOLE_HELP = 'where the virtio console (hvc0) goes, like --serial (default null)';
const DETACH_HELP = 'leave it in the background once it is there; see "console" and "stop"';
const CONFINE_HELP = 'leave the process all its rights, for who debugs it; see postcopy-confinement(7)';
const REPEATABLE = ' (any number of times)';
const KEYS_HELP =
  'Keys: with --serial stdio on a terminal, Ctrl-a x ends the VM and Ctrl-a a types Ctrl-a; Ctrl-] leaves "console".';
const HELP_COLUMNS = 110;

function helpFooter(): string {
  return `\n${KEYS_HELP}\n${wrapList(`Exit codes: ${exitCodesText()}.`)}`;
}

/** Lines that end with a comma. */
function wrapList(text: string): string {
  return text.replaceAll(new RegExp(`(.{1,${HELP_COLUMNS}}(?:,|$)) ?`, 'g'), '$1\n').trimEnd();
}

/** Runs one command line (without node and script) and returns its exit code; never throws. */
export async function runProgram(words: string[], output: Output = processOutput): Promise<number> {
  let exitCode = EXIT_OK;
  const program = createProgram(words, output, (code) => (exitCode = code));
  try {
    await program.parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    // --help and --version end this way too, with exit code 0; everything else commander throws is wrong usage.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    const told = namingExhausted(error);
    reportError(output, told, program.opts<{ logLevel?: LogLevel }>().logLevel ?? DEFAULT_LOG_LEVEL);
    return exitCodeOfError(told);
  }
}

/** `words`: the command line again, for a process in the background; `done` gets the exit code. */
export function createProgram(words: string[], output: Output, done: Done): Command {
  const program = new Command('postcopy')
    .description('Runs KVM guests and moves them, live, to another host by post-copy.')
    .version(VERSION)
    .addOption(
      new Option('--log-level <level>', 'of the log on standard error').choices(LOG_LEVELS).default(DEFAULT_LOG_LEVEL),
    )
    .addHelpText('after', helpFooter)
    .configureOutput({
      writeOut: (text) => output.out(text),
      writeErr: (text) => output.err(text),
      outputError: (text) => say(output, text.trim().replace(/^error: /, '')),
    })
    .exitOverride();
  addHostCommands(program, words, output, done);
  addClientCommands(program, output, done);
  addHostChecks(program, output, done);
  return program;
}

/** The values of an option that can be given several times. */
function collect(value: string, earlier: string[] = []): string[] {
  return [...earlier, value];
}

function machineOption(): Option {
  return new Option('--machine <kind>', MACHINE_HELP).choices(MACHINES).default(DEFAULT_MACHINE);
}

function withMigrateFlags(command: Command): Command {
  for (const flag of migrateFlags()) command.addOption(flag);
  return command;
}

/** Of a migration's options those that a forecast depends on. */
const FORECAST_FLAGS = ['--downtime', '--timeout', '--on-timeout', '--bandwidth'];

const FORECAST_SECONDS_MAX = 30;

function parseForecastSeconds(text: string): number {
  const seconds = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= FORECAST_SECONDS_MAX) return seconds;
  throw new InvalidArgumentError(`Give whole seconds from 1 to ${FORECAST_SECONDS_MAX}.`);
}

type Done = (exitCode: number) => void;

const SECONDS_MAX = 24 * 60 * 60;

function parseSeconds(text: string): number {
  const seconds = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= SECONDS_MAX) return seconds;
  throw new InvalidArgumentError(`Give whole seconds from 1 to ${SECONDS_MAX}.`);
}

function addHostCommands(program: Command, words: string[], output: Output, done: Done): void {
  program
    .command('run')
    .description('boot a VM and stay with it')
    .option('--name <name>', 'of the VM')
    .option('--config <file>', 'JSON with any of the settings below; what is given here wins')
    .addOption(new Option('--machine <kind>', `${MACHINE_HELP} (default kvm)`).choices(MACHINES))
    .option('--kernel <file>', 'a Linux bzImage, or an ELF file with a PVH entry')
    .option('--initrd <file>', 'initial RAM disk')
    .option('--cmdline <text>', 'kernel command line')
    .option('--memory <size>', 'guest RAM, like 512M (default 1G)')
    .addOption(new Option('--cpu <cpu>', CPU_HELP).choices(CPUS))
    .option('--cpus <number>', 'vCPUs, 1 to 16, as threads to 64 (default 2)')
    .option('--serial <setting>', `${SERIAL_HELP} (default stdio)`)
    .option('--console <setting>', CONSOLE_HELP)
    .option(
      '--disk <setting>',
      `a disk: path=FILE[,readonly][,id=ID][,format=raw][,on-error=stop|report]${REPEATABLE}`,
      collect,
    )
    .option('--net <setting>', `a network interface: tap=NAME[,bridge=NAME][,mac=MAC][,id=ID]${REPEATABLE}`, collect)
    .option('--no-reboot', "end when the guest resets, don't restart it")
    .option('--no-confine', CONFINE_HELP)
    .option('--detach', DETACH_HELP)
    .action(async (_options: object, command: Command) => {
      const { runCommand } = await import('./run.js');
      done(await runCommand(command.optsWithGlobals(), words, output));
    });
  const receive = program
    .command('receive')
    .description('wait for one VM from another host, run it and stay with it')
    .requiredOption('--name <name>', 'of the VM on this host')
    .requiredOption('--listen <host:port>', 'where to wait for it')
    .addOption(machineOption())
    .option('--serial <setting>', `${SERIAL_HELP} (default stdio)`)
    .option('--console <setting>', CONSOLE_HELP)
    .option(
      '--disk <setting>',
      `where a disk of the VM is on this host: id=ID,path=FILE[,unproven]${REPEATABLE}`,
      collect,
    )
    .option(
      '--net <setting>',
      `what an interface of the VM gets on this host: id=ID,tap=NAME[,bridge=NAME]${REPEATABLE}`,
      collect,
    )
    .option('--no-confine', CONFINE_HELP);
  withSecurityFlags(receive, 'what "migrate" has to give there too, instead of a new one that is printed')
    .option('--detach', DETACH_HELP)
    .action(async (_options: object, command: Command) => {
      const { receiveCommand } = await import('./receive.js');
      done(await receiveCommand(command.optsWithGlobals(), words, output));
    });
}

function addClientCommands(program: Command, output: Output, done: Done): void {
  withMigrateFlags(
    withSecurityFlags(program.command('migrate <name> <host:port>'), 'the key that "receive" has printed there'),
  )
    .description('move a VM to the host where "postcopy receive" waits')
    .option('--trace <file>', 'write there what the destination asks for, and when')
    .option('--json', 'print the summary as one JSON object')
    .action(async (name: string, to: string, options: MigrateCommandOptions) => {
      const { migrateCommand } = await import('./migrate.js');
      done(await migrateCommand(name, to, options, output));
    });
  const forecast = program
    .command('forecast <name> [host:port]')
    .description('what a migration would be in each mode, and which suits the VM')
    .option('--link <link>', 'loopback, a rate (1g, 10g), rtt=MS, or both (10g,rtt=1); not tried then')
    .addOption(
      new Option('--seconds <seconds>', 'how long to watch what the guest writes (default 2)').argParser(
        parseForecastSeconds,
      ),
    );
  for (const flag of migrateFlags()) if (FORECAST_FLAGS.includes(flag.long!)) forecast.addOption(flag);
  withSecurityFlags(forecast, 'the key that "receive" has printed there')
    .option('--json', 'print one JSON object')
    .action(async (name: string, to: string | undefined, options: ForecastCommandOptions) => {
      const { forecastCommand } = await import('./forecast.js');
      done(await forecastCommand(name, to, options, output));
    });
  program
    .command('cancel <name>')
    .description("end a VM's migration before the hand-over: it goes on here")
    .action(async (name: string) => done(await (await import('./cancel.js')).cancelCommand(name)));
  program
    .command('limit')
    .description('change how fast a migration may send while it runs; pages that the guest waits for are not held back')
    .argument('<name>', 'of the VM')
    .argument('<rate>', 'bytes per second like 100M, bits like 1Gbit, or none', parseLimit)
    .action(async (name: string, rate: number | null) =>
      done(await (await import('./limit.js')).limitCommand(name, rate)),
    );
  program
    .command('recover <name> [host:port]')
    .description('have a migration whose link is broken look for the destination at once')
    .action(async (name: string, to: string | undefined) =>
      done(await (await import('./recover.js')).recoverCommand(name, to)),
    );
  program
    .command('status <name>')
    .description('what a VM is doing')
    .option('--json', 'print one JSON object')
    .action(async (name: string, options: { json?: boolean }) => {
      const { statusCommand } = await import('./status.js');
      done(await statusCommand(name, options, output));
    });
  program
    .command('list')
    .description('the VMs of this host')
    .option('--json', 'print one JSON array')
    .action(async (options: { json?: boolean }) => {
      const { listCommand } = await import('./list.js');
      done(await listCommand(options, output));
    });
  program
    .command('stop <name>')
    .description('press the power button of a VM and wait until it has ended')
    .addOption(new Option('--timeout <seconds>', 'how long to wait (default 60)').argParser(parseSeconds))
    .addOption(new Option('--force', 'cut its power instead, at once').conflicts('timeout'))
    .action(async (name: string, options: { force?: boolean; timeout?: number }) => {
      const { stopCommand } = await import('./stop.js');
      done(await stopCommand(name, options, output));
    });
  program
    .command('pause <name>')
    .description("stop a VM's vCPUs")
    .action(async (name: string) => done(await (await import('./pause.js')).pauseCommand(name)));
  program
    .command('resume <name>')
    .description('let a paused VM go on')
    .option('--force', 'one whose hand-over broke as well: say that the other host has not run it, and never will')
    .action(async (name: string, options: { force?: boolean }) => {
      const { resumeCommand } = await import('./pause.js');
      done(await resumeCommand(name, options));
    });
  program
    .command('console <name>')
    .description("join this terminal to a VM's console")
    .addOption(new Option('--port <port>', 'of the guest: ttyS0 or hvc0').choices(CONSOLE_PORTS).default('serial'))
    .action(async (name: string, { port }: { port: ConsolePort }) => {
      const { consoleCommand } = await import('./console.js');
      done(await consoleCommand(name, port, output));
    });
}

function addHostChecks(program: Command, output: Output, done: Done): void {
  program
    .command('doctor')
    .description('what this host has and lacks, and how to get it')
    .option('--json', 'print one JSON object')
    .action(async (options: { json?: boolean }) => {
      const { doctorCommand } = await import('./doctor.js');
      done(await doctorCommand(options, output));
    });
  program
    .command('demo')
    .description("postcopy's own guest, under load, migrated here between two processes and verified")
    .addOption(machineOption())
    .option('--memory <size>', 'guest RAM', '1G')
    .option('--working-set <size>', 'what it works on', '512M')
    .option('--cpus <number>', 'vCPUs', '2')
    .option('--pattern <name>', 'of its accesses: uniform, sequential or hotcold', 'uniform')
    .option('--json', 'print one JSON object')
    .action(async (_options: object, command: Command) => {
      const { demoCommand } = await import('./demo.js');
      done(await demoCommand(command.optsWithGlobals(), output));
    });
  program
    .command('bench')
    .description('postcopy and QEMU move the same guest under load, in turn, and the guest tells what it felt')
    .option('--all', 'every standard scenario: what the table of targets needs')
    .option('--prefetch', 'every order of pages instead, in simulated time and with guests that run')
    .option('--modes', 'pre-copy, hybrid and limits of the bandwidth instead')
    .option('--scenario <name...>', 'some of them: loopback, 1g, rtt10, warm, ram-1g, ram-2g, ram-4g, ram-8g')
    .option('--link <link>', 'loopback, a rate (1g, 10g), rtt=MS, or both (10g,rtt=1)', 'loopback')
    .addOption(machineOption())
    .option('--memory <size>', 'guest RAM', '1G')
    .option('--working-set <size>', 'what it works on', '512M')
    .option('--cpus <number>', 'vCPUs', '1')
    .option('--pattern <name>', 'of its accesses: uniform, sequential, hotcold or warm', 'uniform')
    .option('--rounds <number>', 'of all systems in turn', '5')
    .option(
      '--systems <names>',
      'with commas between; postcopy-tls for what TLS costs',
      'postcopy,qemu-preempt,qemu,qemu-multifd',
    )
    .option('--qemu <program>', 'the QEMU to compare with', 'qemu-system-x86_64')
    .option('--json <file>', 'everything measured')
    .option('--html <file>', 'a report with plots, in one file')
    .action(async (_options: object, command: Command) => {
      const { benchCommand } = await import('./bench.js');
      done(await benchCommand(command.optsWithGlobals(), output));
    });
  program
    .command('replay <trace>')
    .description('a migration in simulated time, with each order of pages')
    .option('--prefetch <names>', 'policies, with commas between; all without it')
    .option('--link <link>', 'loopback, a rate (1g, 10g), rtt=MS, or both (10g,rtt=1)', '1g')
    .option('--cpus <number>', 'of each host', '2')
    .option('--memory <size>', 'guest RAM of a trace that is made up')
    .option('--vcpus <number>', 'of a trace that is made up')
    .option('--seed <number>', 'of a trace that is made up', '1')
    .option('--json', 'print one JSON object')
    .action(async (trace: string, options: ReplayWords) => {
      const { replayCommand } = await import('./replay.js');
      done(replayCommand(trace, options, output));
    });
}
