/**
 * postcopy as a library: run a VM in this process, receive one, or talk to the process of one.
 *
 * A process that holds a VM must end only after the VM's `ended` has resolved.
 */
export { PostcopyError, describeError, type ErrorCode } from './errors.js';
export { checkVmSettings, type VmConfig, type VmSettings } from './configure/vm-config.js';
export type { NetConfig, NetPlace } from './configure/net.js';
export { VmClient } from './control/client.js';
export type { MigrateRequest, StopRequest, VmEnd, VmService, VmState, VmStatus } from './vm/service.js';
export type { ConsolePort } from './console/console-port.js';
export type { MigrationPhase, MigrationProgress, MigrationSummary } from './migrate/report/summary.js';
export { openSerialBackend, type SerialBackend } from './console/serial-backend.js';
export { receiveVm, startVm, type ReceiveOptions, type VmProcess } from './vm/vm-process.js';
export type { Consoles } from './machine/console-lines.js';
export type { Notice } from './vm/local-vm.js';
export { VERSION } from './version.js';
