/**
 * postcopy as a library: run a VM in this process, receive one, or talk to the process of one.
 *
 * A process that holds a VM must end only after the VM's `ended` has resolved.
 */
import type { VmConfig } from './configure/vm-config.js';
import { vmUsingFile } from './control/vm-using-file.js';
import type { Consoles } from './machine/console-lines.js';
import * as vms from './vm/vm-process.js';
import type { Notice } from './vm/vm-process.js';

export { PostcopyError, describeError, factsOf, type ErrorCode, type Fact } from './errors.js';
export { checkVmSettings, type VmSettings } from './configure/vm-config.js';
export { newMigrationKey, type GivenSecurity, type TlsFiles } from './configure/security.js';
export { readKeyFile, readTlsDirectory } from './configure/security-files.js';
export type { NetConfig, NetPlace } from './configure/net.js';
export { VmClient } from './control/client.js';
export type {
  LimitRequest,
  MeasureRequest,
  MigrateRequest,
  StopRequest,
  VmEnd,
  VmService,
  VmState,
  VmStatus,
  WriteMeasure,
} from './vm/service.js';
export type { ConsolePort } from './console/console-port.js';
export type { MigrationPhase, MigrationProgress, MigrationSummary } from './migrate/report/summary.js';
export { openSerialBackend, type SerialBackend } from './console/serial-backend.js';
export type { ReceiveOptions, VmProcess } from './vm/vm-process.js';
export type { Happening } from './watch/events.js';
export type { Events } from './watch/stream.js';
export { VERSION } from './version.js';
export type { Consoles, Notice, VmConfig };

/** Builds and boots a VM in this process. Throws PostcopyError with nothing left behind. */
export function startVm(config: VmConfig, consoles: Consoles, notice?: Notice): Promise<vms.VmProcess> {
  return vms.startVm(config, consoles, notice, vmUsingFile);
}

/** Listens for one VM and runs it in this process once it has come. Throws PostcopyError if this host can do neither. */
export function receiveVm(options: vms.ReceiveOptions, consoles: Consoles, notice?: Notice): Promise<vms.VmProcess> {
  return vms.receiveVm(options, consoles, notice, vmUsingFile);
}
