/**
 * Which `-cpu` lets QEMU start on this host's KVM. Plain `host` is right on most; a KVM that lists MSRs which it cannot
 * set (IA32_ARCH_CAPABILITIES, 0x10a) makes QEMU abort, and there these features are left out.
 */
import { QemuProcess } from './qemu-process.js';

const MODELS = ['host', 'host,-arch-capabilities', 'host,-arch-capabilities,-core-capability'];

/** `directory`: for sockets. Throws QEMU's last words if it starts with none of them. */
export async function findCpuModel(binary: string, directory: string): Promise<string> {
  let last: unknown;
  for (const model of MODELS) {
    const qemu = new QemuProcess(binary, 'probe', directory, machineWords(model), []);
    try {
      await qemu.connect();
      return model;
    } catch (error) {
      last = error;
    } finally {
      await qemu.dispose();
    }
  }
  throw last;
}

/** Everything that has nothing to do with the guest's size: the least of a machine that migrates. */
export function machineWords(cpuModel: string): string[] {
  return [
    // qboot instead of SeaBIOS: a fraction of the boot time, and of no effect afterwards.
    ...['-machine', 'q35,accel=kvm', '-bios', 'qboot.rom', '-cpu', cpuModel],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-name', 'bench,debug-threads=on'],
  ];
}
