/** The process of one VM, for `run` and `receive`: from its name to the removal of the last file. */
import type { Logger } from 'pino';
import type { SerialSetting } from '../configure/serial-setting.js';
import { claimName } from '../control/claim-name.js';
import type { LockFile } from '../host/file-lock.js';
import type { VmEnd } from '../vm/service.js';
import { startControlServer } from '../control/server.js';
import { openSerialBackend, type SerialBackend, type SerialOptions } from '../console/serial-backend.js';
import type { Consoles } from '../machine/console-lines.js';
import type { VmProcess } from '../vm/vm-process.js';
import { Cleanup } from '../basics/cleanup.js';
import { advised } from './advice.js';
import { Confinement } from './confinement.js';
import type { DetachedLog } from './detached-log.js';
import { leaveThreadsBehind } from './end-process.js';
import { EndRequest } from './end-request.js';
import { EXIT_OK, exitCodeOf, exitCodeOfSignal } from './exit-codes.js';
import { LastResort } from './last-resort.js';
import { loadNative } from './load-native.js';
import { createLogger, neverWaitForReader, say, type LogLevel, type Output } from './output.js';
import { openServiceManager } from './service-manager.js';
import { openShutdownInhibitor } from './shutdown-inhibitor.js';
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
  /** False with --no-confine. */
  confine: boolean;
  /** In the background. */
  log?: DetachedLog | undefined;
}

/** Runs the VM until it is over here, tells how it ended, and returns the exit code. */
export function hostVm(hosted: HostedVm, options: HostVmOptions): Promise<number> {
  return new HostProcess(hosted, options).run();
}

/** Each step leaves to the clean-up what undoes it, which runs in reverse order. */
class HostProcess {
  readonly #cleanup = new Cleanup();
  readonly #end: EndRequest;
  readonly #lastResort: LastResort;
  readonly #confinement: Confinement;
  #vm: VmProcess | undefined;
  /** Of a VM that is over. */
  #result: VmEnd | undefined;

  constructor(
    readonly hosted: HostedVm,
    readonly options: HostVmOptions,
  ) {
    this.#end = new EndRequest((why) => this.#say(why));
    this.#confinement = new Confinement(options.confine, (text) => this.#say(text));
    this.#lastResort = new LastResort(
      () => this.#vm?.status().state,
      (text) => this.#say(text),
    );
  }

  async run(): Promise<number> {
    neverWaitForReader();
    const logger = await createLogger(this.options.logLevel);
    // Told last of all, because the terminal is no longer raw then.
    this.#cleanup.add(() => this.#tellEnd());
    try {
      const socketPath = this.#claimName();
      this.#takeSignals();
      this.#outliveErrors();
      await this.#answerRequests(socketPath, logger);
      const consoles = await this.#openConsoles();
      if (this.#end.wanted) return EXIT_OK;
      const vm = await this.#start(consoles, logger);
      return await this.#stayWith(vm, logger);
    } finally {
      await this.#cleanup.run();
    }
  }

  /** Returns the path of the control socket. */
  #claimName(): string {
    const claim = claimName(this.hosted.name, this.options.lockFile);
    this.#cleanup.add(releaseAtExit(() => claim.release()));
    return claim.socketPath;
  }

  #takeSignals(): void {
    this.#cleanup.add(onEndSignals((signal) => endOnSignal(signal, this.#end)));
  }

  #outliveErrors(): void {
    this.#cleanup.add(this.#lastResort.install());
  }

  /** The name answers before the VM starts. The consoles close before the server does, and get the guest's last words. */
  async #answerRequests(path: string, logger: Logger): Promise<void> {
    const server = await startControlServer({ path, service: () => this.#vm, logger });
    this.#cleanup.add(() => server.close());
  }

  async #openConsoles(): Promise<Consoles> {
    const serial = await this.#openConsole(this.hosted.serial);
    return { serial, virtio: await this.#openConsole(this.hosted.console) };
  }

  async #openConsole(setting: SerialSetting): Promise<SerialBackend> {
    const onQuit = (): void => void this.#end.ask();
    const backend = await openSerialBackend(setting, { onQuit, stdio: this.options.stdio });
    this.#cleanup.add(() => backend.close());
    return backend;
  }

  /** From here on the log of a process in the background is the VM's, and stays if its end was an error. */
  async #start(consoles: Consoles, logger: Logger): Promise<VmProcess> {
    const { name } = this.hosted;
    const manager = await openServiceManager();
    const inhibitor = openShutdownInhibitor(name);
    await this.#confinement.forSetUp();
    const vm = await Promise.race([this.hosted.start(consoles), this.#lastResort.ended]);
    this.#vm = vm;
    this.options.log?.take(name);
    this.#cleanup.add(() => {
      if (this.#result !== undefined && this.#result.code === undefined) this.options.log?.remove(name);
    });
    this.#confinement.forLife(vm);
    this.#end.vmIsThere(vm);
    this.hosted.started?.(vm);
    this.#cleanup.add(manager.follow(vm));
    this.#cleanup.add(inhibitor.follow(vm));
    logger.info({ vm: name }, 'VM process ready');
    return vm;
  }

  /** Returns the exit code. */
  async #stayWith(vm: VmProcess, logger: Logger): Promise<number> {
    const result = await Promise.race([vm.ended, this.#lastResort.ended]);
    this.#result = result;
    logger.info({ vm: this.hosted.name, ...result }, 'VM over');
    if (result.stuck) leaveThreadsBehind((await loadNative()).exitNow);
    return result.code === undefined ? EXIT_OK : exitCodeOf(result.code);
  }

  #tellEnd(): void {
    const { message = '', facts } = this.#result ?? {};
    if (message !== '') this.#say(advised(message, facts));
  }

  #say(text: string): void {
    say(this.options.output, text);
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
