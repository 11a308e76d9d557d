/** The capabilities of Linux (capabilities(7)), and those that the process of a VM keeps: it drops all others. */

/** By number. */
export const CAPABILITIES = [
  'chown',
  'dac_override',
  'dac_read_search',
  'fowner',
  'fsetid',
  'kill',
  'setgid',
  'setuid',
  'setpcap',
  'linux_immutable',
  'net_bind_service',
  'net_broadcast',
  'net_admin',
  'net_raw',
  'ipc_lock',
  'ipc_owner',
  'sys_module',
  'sys_rawio',
  'sys_chroot',
  'sys_ptrace',
  'sys_pacct',
  'sys_admin',
  'sys_boot',
  'sys_nice',
  'sys_resource',
  'sys_time',
  'sys_tty_config',
  'mknod',
  'lease',
  'audit_write',
  'audit_control',
  'setfcap',
  'mac_override',
  'mac_admin',
  'syslog',
  'wake_alarm',
  'block_suspend',
  'audit_read',
  'perfmon',
  'bpf',
  'checkpoint_restore',
] as const;

export type Capability = (typeof CAPABILITIES)[number];

/** As long as the process lives. */
export const KEPT: readonly Capability[] = [
  // A reset of the guest reads its kernel and initrd again, and opens /dev/kvm: the files may be another user's.
  'dac_override',
  // A destination listens again on a port that may be below 1024.
  'net_bind_service',
  // Threads go before others while a VM moves, and back behind it.
  'sys_nice',
];

/** Until the VM is here, besides. */
export const KEPT_FOR_SET_UP: readonly Capability[] = [
  // TAP devices, and their bridges.
  'net_admin',
  // userfaultfd(2), where there is no /dev/userfaultfd.
  'sys_ptrace',
];

export function numbersOf(capabilities: readonly Capability[]): Uint32Array {
  return Uint32Array.from(capabilities, (name) => CAPABILITIES.indexOf(name));
}

/** `mask`: as /proc/PID/status has it. One that this release does not know goes by its number. */
export function capabilitiesIn(mask: bigint): string[] {
  const bits = mask.toString(2).length;
  return Array.from({ length: bits }, (_, bit) => bit)
    .filter((bit) => ((mask >> BigInt(bit)) & 1n) === 1n)
    .map((bit) => CAPABILITIES[bit] ?? String(bit));
}
