/** Does a guest run here? Boots postcopy's own guest, which says so within a second, also where Linux would not boot. */
import { PassThrough, Duplex } from 'node:stream';
import { describeError } from '../errors.js';
import { guestBinary } from '../trial/guest-binary.js';
import { GuestConsole } from '../trial/guest-console.js';
import { MEMORY_BYTES_MIN } from '../memory/layout.js';
import { openSerialBackend } from '../console/serial-backend.js';
import { startVm, type VmProcess } from '../vm/vm-process.js';

const NAME = 'try-guest';

export async function tryGuest(): Promise<{ ok: boolean; detail: string }> {
  const toGuest = new PassThrough();
  const fromGuest = new PassThrough();
  const serial = await openSerialBackend({ kind: 'null' });
  const virtio = await openSerialBackend({ kind: 'null' });
  serial.addConsole(Duplex.from({ readable: toGuest, writable: fromGuest }));
  const guest = new GuestConsole(Duplex.from({ readable: fromGuest, writable: toGuest }));
  let vm: VmProcess | undefined;
  try {
    const boot = {
      machine: 'kvm' as const,
      kernel: guestBinary(),
      cmdline: '',
      memoryBytes: MEMORY_BYTES_MIN,
      cpu: 'host' as const,
      cpus: 1,
    };
    const quiet = { kind: 'null' } as const;
    const settings = { serial: quiet, console: quiet, disks: [], nets: [], reboot: false };
    vm = await startVm({ name: NAME, ...boot, ...settings }, { serial, virtio });
    const failed = vm.ended.then((end) => Promise.reject(new Error(end.message)));
    await Promise.race([guest.synchronize(), failed]);
    return { ok: true, detail: 'a small guest booted and answered' };
  } catch (error) {
    return { ok: false, detail: describeError(error) };
  } finally {
    guest.close();
    await vm?.stop({ force: true }).catch(() => {});
    await vm?.ended;
    await serial.close();
    await virtio.close();
  }
}
