import { hostname, networkInterfaces } from 'node:os';
import type { MachineName } from '../configure/machine-setting.js';
import { formatAddress, parseAddress } from '../configure/address.js';
import { settleConsoles } from '../configure/console-settings.js';
import { parseDiskPlaces } from '../configure/disk.js';
import { parseNetPlaces } from '../configure/net.js';
import { parseSerialSetting, type SerialSetting } from '../configure/serial-setting.js';
import { isLoopback, newMigrationKey, settleSecurity, type GivenSecurity } from '../configure/security.js';
import { checkVmName } from '../configure/vm-name.js';
import { vmUsingFile } from '../control/vm-using-file.js';
import { advised } from './advice.js';
import { compileAhead } from './compile-ahead.js';
import { runDetached } from './detach.js';
import { detachedLog } from './detached-log.js';
import { hostVm } from './host-vm.js';
import { loadNative } from './load-native.js';
import { givenSecurity, type SecurityFlags } from './security-flags.js';
import { say, type LogLevel, type Output } from './output.js';

export interface ReceiveCommandOptions extends SecurityFlags {
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
  const secured = givenSecurity(options);
  const made = needsKey(secured, address.host) ? newMigrationKey() : undefined;
  const security = made === undefined ? secured : { key: made };
  settleSecurity(security, address.host);
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
          { name, machine: options.machine, ...address, security, disks, nets },
          backends,
          (text, facts) => say(output, advised(text, facts)),
          vmUsingFile,
        ),
      started: (vm) => {
        const listen = vm.status().listen ?? formatAddress(address);
        say(output, `${name} waits for a VM on ${listen}`);
        if (made !== undefined) tellKey(name, listen, made, output);
      },
    },
    { output, logLevel: options.logLevel, confine: options.confine, lockFile, log },
  );
}

function needsKey(given: GivenSecurity, host: string): boolean {
  return Object.keys(given).length === 0 && !isLoopback(host);
}

/** The command that brings the VM, ready to be pasted. */
function tellKey(name: string, listen: string, key: string, output: Output): void {
  const { host, port } = parseAddress(listen, 'connect');
  const there = formatAddress({ host: reachable(host), port });
  say(output, 'where the VM runs now, this command brings it; the key is for this once:');
  output.err(`postcopy migrate ${name} ${there} --key ${key}\n`);
}

/** An address of this host that others may know it by, for one that stands for all of them. */
function reachable(host: string): string {
  if (host !== '0.0.0.0' && host !== '::') return host;
  const family = host === '::' ? 'IPv6' : 'IPv4';
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const outer = addresses.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'));
  return (outer.find((found) => found.family === family) ?? outer[0])?.address ?? hostname();
}

function parsed(setting: string | undefined): SerialSetting | undefined {
  return setting === undefined ? undefined : parseSerialSetting(setting);
}
