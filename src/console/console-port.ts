/** serial: COM1, ttyS0 in Linux; virtio: the virtio console, hvc0. */
export const CONSOLE_PORTS = ['serial', 'virtio'] as const;
export type ConsolePort = (typeof CONSOLE_PORTS)[number];
