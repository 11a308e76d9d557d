/** VMs of this process, for its commands and for programs that embed it. */
import { DEFAULT_MACHINE, type MachineName } from '../configure/machine-setting.js';
import { settleSecurity, type GivenSecurity } from '../configure/security.js';
import type { VmConfig } from '../configure/vm-config.js';
import type { VmEnd, VmService } from './service.js';
import type { Consoles } from '../machine/console-lines.js';
import type { WhoUses } from '../host/disk-errors.js';
import type { DeviceOverrides } from '../host/local-devices.js';
import type { Fact } from '../errors.js';
import { lineOf } from '../watch/text.js';
import { Vm } from './vm.js';
import { requireMachine, requireUserfaultfd } from '../host/require-host.js';

export interface VmProcess extends VmService {
  /** Resolves once, when the VM is over here; never rejects. All its resources are released by then. */
  readonly ended: Promise<VmEnd>;
}

export interface ReceiveOptions extends DeviceOverrides {
  name: string;
  /** kvm if not given. */
  machine?: MachineName;
  host: string;
  port: number;
  /** Not needed where nobody but this host comes in. */
  security?: GivenSecurity;
}

/** Told to the operator while the VM lives: resets, moves. */
export type Notice = (text: string, facts?: readonly Fact[]) => void;

/** This floor knows of no other VM: who is above tells which of them has a disk. */
const nobodyKnown: WhoUses = async () => undefined;

/** Builds and boots a VM in this process. Throws PostcopyError with nothing left behind. */
export async function startVm(
  config: VmConfig,
  consoles: Consoles,
  notice: Notice = () => {},
  whoUses: WhoUses = nobodyKnown,
): Promise<VmProcess> {
  requireMachine(config.machine);
  const vm = newVm(config.name, config.machine, consoles, notice, whoUses);
  await vm.start(config);
  return vm;
}

/** Listens for one VM and runs it in this process once it has come. Throws PostcopyError if this host can do neither. */
export async function receiveVm(
  options: ReceiveOptions,
  consoles: Consoles,
  notice: Notice = () => {},
  whoUses: WhoUses = nobodyKnown,
): Promise<VmProcess> {
  const { name, machine = DEFAULT_MACHINE, host, port, security = {}, ...overrides } = options;
  const settled = settleSecurity(security, host);
  requireMachine(machine);
  requireUserfaultfd();
  const vm = newVm(name, machine, consoles, notice, whoUses);
  vm.receive(host, port, settled, overrides);
  return vm;
}

function newVm(name: string, machine: MachineName, consoles: Consoles, notice: Notice, whoUses: WhoUses): Vm {
  const vm = new Vm(name, machine, consoles, whoUses);
  vm.events.subscribe((happening) => {
    const line = lineOf(happening);
    return line === undefined ? undefined : notice(line, happening.facts);
  });
  return vm;
}
