/** The process of one VM, for `run` and `receive`: from its name to the removal of the last file. */
import type { SerialSetting } from '../configure/serial-setting.js';
import { claimName, type LockFile } from '../control/claim-name.js';
import type { VmEnd } from '../vm/service.js';
import { startControlServer } from '../control/server.js';
import { openSerialBackend, type SerialOptions } from '../console/serial-backend.js';
import type { Consoles } from '../machine/console-lines.js';
import type { VmProcess } from '../vm/vm-process.js';
import { Cleanup } from '../basics/cleanup.js';
import type { DetachedLog } from './detached-log.js';
import { leaveThreadsBehind } from './end-process.js';
import { EndRequest } from './end-request.js';
import { EXIT_OK, exitCodeOf, exitCodeOfSignal } from './exit-codes.js';
import { LastResort } from './last-resort.js';
import { loadNative } from './load-native.js';
import { createLogger, say, type LogLevel, type Output } from './output.js';
import { onEndSignals, signalNumber, type EndSignal } from './signals.js';

export interface HostedVm {
  name: string;
  serial: SerialSetting;
  /** Of the virtio console. */
  console: SerialSetting;
  /** Builds the VM. Throws PostcopyError with nothing left behind. */
  start(consoles: Consoles): Promise<VmProcess>;
  /** Called once it is there. */
  started?(vm: VmProcess): void;
}

export interface HostVmOptions {
  output: Output;
  logLevel: LogLevel;
  lockFile: LockFile;
  stdio?: SerialOptions['stdio'];
  /** In the background. */
  log?: DetachedLog;
}

/** Runs the VM until it is over here, tells how it ended, and returns the exit code. */
export async function hostVm(hosted: HostedVm, options: HostVmOptions): Promise<number> {
  const cleanup = new Cleanup();
  const end = new EndRequest((why) => say(options.output, why));
  let result: VmEnd | undefined;
  let vm: VmProcess | undefined;
  try {
    const logger = await createLogger(options.logLevel);
    const claim = claimName(hosted.name, options.lockFile);
    cleanup.add(releaseAtExit(() => claim.release()));
    cleanup.add(onEndSignals((signal) => endOnSignal(signal, end)));

    const lastResort = new LastResort(
      () => vm?.status().state,
      (text) => say(options.output, text),
    );
    cleanup.add(lastResort.install());

    // The name answers before the VM starts. The backends close first: consoles get the guest's last words.
    const server = await startControlServer({ path: claim.socketPath, service: () => vm, logger });
    cleanup.add(() => server.close());
    const open = async (setting: SerialSetting) => {
      const backend = await openSerialBackend(setting, { onQuit: () => void end.ask(), stdio: options.stdio });
      cleanup.add(() => backend.close());
      return backend;
    };
    const consoles = { serial: await open(hosted.serial), virtio: await open(hosted.console) };
    if (end.wanted) return EXIT_OK;

    vm = await Promise.race([hosted.start(consoles), lastResort.ended]);
    options.log?.take(hosted.name);
    cleanup.add(() => {
      if (result !== undefined && result.code === undefined) options.log?.remove(hosted.name);
    });
    end.vmIsThere(vm);
    hosted.started?.(vm);
    logger.info({ vm: hosted.name }, 'VM process ready');
    result = await Promise.race([vm.ended, lastResort.ended]);
    logger.info({ vm: hosted.name, ...result }, 'VM over');
    if (result.stuck) leaveThreadsBehind((await loadNative()).exitNow);
    return result.code === undefined ? EXIT_OK : exitCodeOf(result.code);
  } finally {
    await cleanup.run();
    // Last, because the terminal is no longer raw now.
    if (result !== undefined && result.message !== '') say(options.output, result.message);
  }
}

/** Also when the process is ended by process.exit() or an uncaught error. */
function releaseAtExit(release: () => void): () => void {
  process.once('exit', release);
  return () => {
    process.off('exit', release);
    release();
  };
}

function endOnSignal(signal: EndSignal, end: EndRequest): void {
  if (end.ask()) return;
  // Asked for twice: the end of the guest is not waited for. Exit handlers restore the terminal and remove the files.
  process.exit(exitCodeOfSignal(signalNumber(signal)));
}
