/** What the device worker needs to build a virtio device: descriptors and handles that the main thread has opened. */
export type VirtioSpec = VirtioBackend & {
  /** Index among the machine's virtio devices (NativeVm.addVirtio): decides its registers and its interrupt. */
  slot: number;
  /** eventfd, the worker's: the driver has notified a queue. */
  notifyFd: number;
};

export type VirtioBackend =
  /** fd: the device's end of a Unix socket, the worker's. */
  | { kind: 'console'; fd: number }
  | { kind: 'rng' }
  | { kind: 'balloon' }
  | { kind: 'block'; id: string; readonly: boolean; handle: number }
  | { kind: 'net'; mac: string; mtu: number; handle: number };
