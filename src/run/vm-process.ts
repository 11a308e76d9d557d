import type { VmConfig } from '../configure/vm-config.js';
import type { VmEnd, VmService } from '../control/service.js';
import type { SerialBackend } from './serial-backend.js';

/** A VM living in this process. */
export interface VmProcess extends VmService {
  /** Resolves once, when the VM is over here; never rejects. All its resources are released by then. */
  readonly ended: Promise<VmEnd>;
}

export interface ReceiveOptions {
  name: string;
  host: string;
  port: number;
}

/** Builds and boots a VM in this process. Throws PostcopyError with nothing left behind. */
export declare function startVm(config: VmConfig, serial: SerialBackend): Promise<VmProcess>;

/** Listens for one VM and runs it in this process once it has come. Throws PostcopyError if it cannot listen. */
export declare function receiveVm(options: ReceiveOptions, serial: SerialBackend): Promise<VmProcess>;
