import { loadVmConfig } from '../configure/config-file.js';
import type { VmConfig } from '../configure/vm-config.js';
import { vmUsingFile } from '../control/vm-using-file.js';
import { requireHostMemory } from '../host/require-memory.js';
import { advised } from './advice.js';
import { compileAhead } from './compile-ahead.js';
import { runDetached } from './detach.js';
import { detachedLog } from './detached-log.js';
import { hostVm } from './host-vm.js';
import { loadNative } from './load-native.js';
import { say, type LogLevel, type Output } from './output.js';

export interface RunOptions {
  name?: string;
  machine?: string;
  config?: string;
  kernel?: string;
  initrd?: string;
  cmdline?: string;
  memory?: string;
  cpu?: string;
  cpus?: string;
  serial?: string;
  console?: string;
  detach?: boolean;
  disk?: string[];
  net?: string[];
  /** False with --no-reboot. */
  reboot: boolean;
  /** False with --no-confine. */
  confine: boolean;
  logLevel: LogLevel;
}

/** `postcopy run`: boots a VM and stays with it. */
export async function runCommand(options: RunOptions, words: string[], output: Output): Promise<number> {
  const config = configOf(await withOwnGuest(options));
  requireHostMemory(config.memoryBytes);
  const log = detachedLog();
  if (options.detach === true && log === undefined) return runDetached(config.name, words, output);
  const { lockFile } = await loadNative();
  compileAhead();
  // After the checks: it needs the addon, and a wrong option is told also where there is none.
  const { startVm } = await import('../vm/vm-process.js');
  return hostVm(
    {
      name: config.name,
      serial: config.serial,
      console: config.console,
      start: (consoles) => startVm(config, consoles, (text, facts) => say(output, advised(text, facts)), vmUsingFile),
      started: () => {
        if ([config.serial, config.console].some(({ kind }) => kind === 'stdio') && process.stdin.isTTY)
          say(output, 'Ctrl-a x ends the VM, Ctrl-a a types Ctrl-a');
      },
    },
    { output, logLevel: options.logLevel, confine: options.confine, lockFile, log },
  );
}

/** What runs as threads is postcopy's own guest, where nothing else is asked for. */
async function withOwnGuest(options: RunOptions): Promise<RunOptions> {
  if (options.machine !== 'threads' || options.kernel !== undefined || options.config !== undefined) return options;
  const { guestBinary } = await import('../trial/guest-binary.js');
  return { ...options, kernel: guestBinary() };
}

function configOf({
  config,
  logLevel: _logLevel,
  confine: _confine,
  reboot,
  detach,
  disk,
  net,
  ...flags
}: RunOptions): VmConfig {
  // The flag can only say no; without it the file decides.
  return loadVmConfig(
    config,
    { ...flags, disks: disk, nets: net, reboot: reboot ? undefined : false },
    detach === true,
  );
}
