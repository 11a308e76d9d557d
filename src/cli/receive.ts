import { formatAddress, parseAddress } from '../configure/address.js';
import { parseNetPlaces } from '../configure/net-setting.js';
import { parseSerialSetting } from '../configure/serial-setting.js';
import { checkVmName } from '../configure/vm-name.js';
import { hostVm } from './host-vm.js';
import { loadNative } from './load-native.js';
import type { LogLevel } from './log.js';
import { say, type Output } from './output.js';

export interface ReceiveCommandOptions {
  name: string;
  listen: string;
  serial: string;
  net?: string[];
  logLevel: LogLevel;
}

/** `postcopy receive`: waits for one VM from another host, runs it, and stays with it. */
export async function receiveCommand(options: ReceiveCommandOptions, output: Output): Promise<number> {
  const name = checkVmName(options.name);
  const address = parseAddress(options.listen, 'listen');
  const serial = parseSerialSetting(options.serial);
  const nets = parseNetPlaces(options.net ?? []);
  const { lockFile } = await loadNative();
  // After the checks: it needs the addon, and a wrong option is told also where there is none.
  const { receiveVm } = await import('../run/vm-process.js');
  return hostVm(
    {
      name,
      serial,
      start: (backend) => receiveVm({ name, ...address, nets }, backend, (text) => say(output, text)),
      started: (vm) => say(output, `${name} waits for a VM on ${vm.status().listen ?? formatAddress(address)}`),
    },
    { output, logLevel: options.logLevel, lockFile },
  );
}
