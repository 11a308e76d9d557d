import type { VcpuStop } from './exit-dispatch.js';

/** What the device worker is given, once, before any request. */
export interface DeviceJob {
  vmHandle: number;
  exitQueueHandle: number;
  /** The worker's end of the serial line, a non-blocking Unix socket. */
  serialFd: number;
  /** eventfd: a request waits. */
  wakeFd: number;
}

/** Main thread to device worker; each is answered, in order. */
export type DeviceRequest =
  { type: 'save' } | { type: 'restore'; state: unknown } | { type: 'power-button' } | { type: 'close' };

/** Device worker to main thread. The first answer says that its code is loaded, the second that it serves its job. */
export type DeviceReply =
  | { type: 'answer'; state?: unknown }
  | { type: 'refused'; message: string }
  | { type: 'power-off' }
  | { type: 'reset'; source: string }
  | { type: 'vcpu-stopped'; stop: VcpuStop };
