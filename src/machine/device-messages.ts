import type { DiskFailure } from '../devices/virtio/block/host-errors.js';
import type { ErrorCode } from '../errors.js';
import type { VirtioBackend } from '../host/kinds/table.js';
import type { VcpuStop } from './exit-dispatch.js';

/** What the device worker needs to build a virtio device: descriptors and handles that the main thread has opened. */
export type VirtioSpec = VirtioBackend & {
  /** Index among the machine's virtio devices (NativeVm.addVirtio): decides its registers and its interrupt. */
  slot: number;
  /** eventfd, the worker's: the driver has notified a queue. */
  notifyFd: number;
};

/** What the device worker is given, once, before any request. */
export interface DeviceJob {
  vmHandle: number;
  memoryHandle: number;
  exitQueueHandle: number;
  /** The worker's end of the serial line, a non-blocking Unix socket. */
  serialFd: number;
  virtio: VirtioSpec[];
  /** Of ReportedPages: whether pages that the guest gives up may be released. */
  releaseFlag: Int32Array;
  /** eventfd: a request waits. */
  wakeFd: number;
}

/** Main thread to device worker; each is answered, in order. */
export type DeviceRequest =
  /** With clocks as they were at that moment (monotonicMicros()). */
  | { type: 'save'; atMicros: number }
  | { type: 'restore'; state: unknown }
  /** The clocks had the values of what was restored at that moment: DeviceSet.startClocks(). */
  | { type: 'start-clocks'; atMicros: number; wallClockMs: number | undefined }
  /**
   * Finishes what the devices have in flight, by that moment (monotonicMicros()); they begin nothing new until 'resume'.
   */
  | { type: 'pause'; untilMicros: number }
  | { type: 'resume' }
  /** Devices begin anew what the host has failed and they keep. */
  | { type: 'retry' }
  /** Network devices tell where the guest is now. */
  | { type: 'announce' }
  | { type: 'power-button' }
  | { type: 'close' };

/** Device worker to main thread. The first answer says that it serves its job. */
export type DeviceNews =
  | { type: 'answer'; state?: unknown }
  | { type: 'refused'; code: ErrorCode; message: string }
  /** For the operator. */
  | { type: 'notice'; text: string }
  /** The guest is to stop. */
  | { type: 'disk-stopped'; failure: DiskFailure }
  /** The guest's kernel has, at that moment: milliseconds since 1970. */
  | { type: 'panicked'; at: number }
  | { type: 'power-off' }
  | { type: 'reset'; source: string }
  | { type: 'vcpu-stopped'; stop: VcpuStop };
