import { Qmp } from '../../../src/bench/qemu/qmp.js';
import { AgentChannel } from './agent-channel.js';
import { within } from './deadline.js';
import { LINK_ID, type HostFiles, type HostOptions } from './qemu-arguments.js';
import { startQemu, type QemuProcess } from './qemu-process.js';
import type { RemoteProcess } from './remote-process.js';

const BOOT_LIMIT_MS = 200_000;
const EXEC_LIMIT_MS = 200_000;

export interface ExecResult {
  stdout: string;
  stderr: string;
  code: number;
}

export interface ExecOptions {
  /** Default 60 s. */
  timeoutMs?: number;
  input?: Uint8Array | string;
}

export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A virtual KVM host with stock Linux, up and running. */
export class LabHost {
  readonly name: string;
  /** Its address on the link. */
  readonly address: string;
  readonly #qemu: QemuProcess;
  readonly #channel: AgentChannel;
  readonly #qmp: Qmp;
  /** From QEMU's start to the agent's first word. */
  bootMs = 0;

  private constructor(options: HostOptions, qemu: QemuProcess) {
    this.name = `host${options.number}`;
    this.address = `10.77.0.${options.number}`;
    this.#qemu = qemu;
    this.#qmp = new Qmp(qemu.qmp);
    this.#channel = new AgentChannel(qemu.agent, () => new Error(`${this.name} is gone: ${qemu.describe()}`));
  }

  static async boot(options: HostOptions, files: HostFiles): Promise<LabHost> {
    const start = performance.now();
    const host = new LabHost(options, await startQemu(options, files));
    try {
      await host.#qmp.negotiate();
      await within(BOOT_LIMIT_MS, host.#channel.ready, () => `${host.name} has not booted: ${host.describe()}`);
      host.#channel.setTime();
    } catch (error) {
      await host.close();
      throw error;
    }
    host.bootMs = Math.round(performance.now() - start);
    return host;
  }

  /** Starts a shell command and returns at once. It starts in the project's folder. */
  spawn(command: string, options: { terminal?: boolean } = {}): RemoteProcess {
    return this.#channel.start(command, options);
  }

  /** Runs a shell command to its end, whatever its exit code. Throws, and kills it, when it takes too long. */
  async exec(command: string, { timeoutMs = EXEC_LIMIT_MS, input = '' }: ExecOptions = {}): Promise<ExecResult> {
    const remote = this.spawn(command);
    remote.write(input);
    remote.endInput();
    const code = await remote.ended(timeoutMs);
    return { stdout: remote.stdout, stderr: remote.stderr, code };
  }

  /** As exec, but a non-zero exit code is an error; the output. */
  async run(command: string, options?: ExecOptions): Promise<string> {
    const { stdout, stderr, code } = await this.exec(command, options);
    if (code !== 0) throw new Error(`${this.name}: "${command}" ended with ${code}: ${stderr || stdout}`);
    return stdout;
  }

  async putFile(path: string, content: Uint8Array | string): Promise<void> {
    await this.run(`cat > ${quote(path)}`, { input: content });
  }

  async getFile(path: string): Promise<string> {
    return this.run(`cat ${quote(path)}`);
  }

  /** Pulls or plugs this host's end of the cable. Both directions stop; connections are not reset. */
  async setLink(up: boolean): Promise<void> {
    await this.#qmp.execute('set_link', { name: LINK_ID, up });
  }

  /** The host stops dead, as with its power cut: no FIN, no RST. */
  async cutPower(): Promise<void> {
    await this.#qemu.kill();
  }

  async qmp(command: string, args?: object): Promise<unknown> {
    return this.#qmp.execute(command, args);
  }

  describe(): string {
    return this.#qemu.describe();
  }

  async close(): Promise<void> {
    await this.#qemu.kill();
  }
}
