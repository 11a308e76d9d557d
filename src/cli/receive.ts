import type { MachineName } from '../configure/machine-setting.js';
import { formatAddress, parseAddress } from '../configure/address.js';
import { settleConsoles } from '../configure/console-settings.js';
import { parseDiskPlaces } from '../configure/disk.js';
import { parseNetPlaces } from '../configure/net.js';
import { parseSerialSetting, type SerialSetting } from '../configure/serial-setting.js';
import { checkVmName } from '../configure/vm-name.js';
import { vmUsingFile } from '../control/vm-using-file.js';
import { advised } from './advice.js';
import { compileAhead } from './compile-ahead.js';
import { runDetached } from './detach.js';
import { detachedLog } from './detached-log.js';
import { hostVm } from './host-vm.js';
import { loadNative } from './load-native.js';
import { say, type LogLevel, type Output } from './output.js';

export interface ReceiveCommandOptions {
  name: string;
  machine: MachineName;
  listen: string;
  serial?: string;
  console?: string;
  detach?: boolean;
  /** False with --no-confine. */
  confine: boolean;
  disk?: string[];
  net?: string[];
  logLevel: LogLevel;
}

/** `postcopy receive`: waits for one VM from another host, runs it, and stays with it. */
export async function receiveCommand(options: ReceiveCommandOptions, words: string[], output: Output): Promise<number> {
  const name = checkVmName(options.name);
  const address = parseAddress(options.listen, 'listen');
  const background = options.detach === true;
  const given = { serial: parsed(options.serial), console: parsed(options.console) };
  const consoles = settleConsoles(given, background);
  const disks = parseDiskPlaces(options.disk ?? []);
  const nets = parseNetPlaces(options.net ?? []);
  const log = detachedLog();
  if (background && log === undefined) return runDetached(name, words, output);
  const { lockFile } = await loadNative();
  compileAhead();
  // After the checks: it needs the addon, and a wrong option is told also where there is none.
  const { receiveVm } = await import('../vm/vm-process.js');
  return hostVm(
    {
      name,
      ...consoles,
      start: (backends) =>
        receiveVm(
          { name, machine: options.machine, ...address, disks, nets },
          backends,
          (text, facts) => say(output, advised(text, facts)),
          vmUsingFile,
        ),
      started: (vm) => say(output, `${name} waits for a VM on ${vm.status().listen ?? formatAddress(address)}`),
    },
    { output, logLevel: options.logLevel, confine: options.confine, lockFile, log },
  );
}

function parsed(setting: string | undefined): SerialSetting | undefined {
  return setting === undefined ? undefined : parseSerialSetting(setting);
}
