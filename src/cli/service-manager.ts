/**
 * Tells systemd how the VM of a unit is (sd_notify(3), Type=notify): that it is there, what it does, and that a stop takes
 * longer while another host still pulls its memory from here. Nothing of the VM depends on it.
 */
import { harmlessly } from '../basics/harmless.js';
import type { VmService } from '../vm/service.js';
import { pagesLeave } from '../watch/events.js';
import { loadNative } from './load-native.js';

const INTERVAL_MS = 5000;
/** A stop may take so much longer, from each time on that it is told. */
const EXTENSION_MICROS = 30_000_000;

export interface ServiceManager {
  /** The result says that it is over. */
  follow(vm: Pick<VmService, 'status' | 'events'>): () => void;
}

const NONE: ServiceManager = { follow: () => () => {} };

/** Opened before the process drops its rights. */
export async function openServiceManager(address = process.env['NOTIFY_SOCKET']): Promise<ServiceManager> {
  if (address === undefined || address === '') return NONE;
  const native = await loadNative();
  let fd = -1;
  harmlessly('reaching the service manager', () => (fd = native.connectDatagrams(address)));
  if (fd < 0) return NONE;
  const tell = (...lines: string[]): void =>
    harmlessly('telling the service manager', () => native.writeFd(fd, Buffer.from(lines.join('\n'))));
  return {
    follow(vm) {
      const report = (): void => tell(statusLine(vm), `EXTEND_TIMEOUT_USEC=${EXTENSION_MICROS}`);
      tell('READY=1', statusLine(vm));
      const unsubscribe = vm.events.subscribe(({ type }) => {
        if (type !== 'progress') tell(statusLine(vm));
      });
      const timer = setInterval(() => {
        if (pagesLeave(vm.status().state)) report();
      }, INTERVAL_MS).unref();
      return () => {
        clearInterval(timer);
        unsubscribe();
        tell('STOPPING=1');
        native.closeFd(fd);
      };
    },
  };
}

function statusLine(vm: Pick<VmService, 'status'>): string {
  const { name, state, peer } = vm.status();
  return `STATUS=${name} is ${state}${peer === undefined ? '' : ` (${peer})`}`;
}
