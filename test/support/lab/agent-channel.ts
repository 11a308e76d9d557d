import type { Socket } from 'node:net';
import { encodeFrame, FrameReader, FrameType, START_TERMINAL, type Frame } from './frames.js';
import { RemoteProcess } from './remote-process.js';

const NS_PER_MS = 1_000_000n;

/** The test's end of the control channel with one virtual host's agent. */
export class AgentChannel {
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  readonly #processes = new Map<number, RemoteProcess>();
  #lastProcess = 0;
  #lost: Error | undefined;
  /** Resolves when the agent is up; rejects when the channel closes first. */
  readonly ready: Promise<void>;
  #setReady!: () => void;
  #setLost!: (error: Error) => void;

  /** `describeLoss` says what happened to the host, when the channel closes. */
  constructor(socket: Socket, describeLoss: () => Error) {
    this.#socket = socket;
    this.ready = new Promise((resolve, reject) => {
      this.#setReady = resolve;
      this.#setLost = reject;
    });
    this.ready.catch(() => {}); // may be rejected when nobody waits any more
    socket.on('data', (bytes: Buffer) => this.#reader.push(bytes).forEach((frame) => this.#take(frame)));
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => this.#close(describeLoss()));
  }

  start(command: string, options: { terminal?: boolean } = {}): RemoteProcess {
    if (this.#lost !== undefined) throw this.#lost;
    const id = ++this.#lastProcess;
    const remote = new RemoteProcess(id, command, (frame) => this.#send(frame));
    this.#processes.set(id, remote);
    const flags = options.terminal ? START_TERMINAL : 0;
    this.#send(encodeFrame(id, FrameType.Start, Buffer.concat([Buffer.of(flags), Buffer.from(command)])));
    return remote;
  }

  /** Sets the host's clock to this machine's, so that the hosts agree. */
  setTime(): void {
    const payload = Buffer.alloc(8);
    payload.writeBigUInt64LE(BigInt(Date.now()) * NS_PER_MS);
    this.#send(encodeFrame(0, FrameType.SetTime, payload));
  }

  #send(frame: Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(frame);
  }

  #take({ process, type, payload }: Frame): void {
    if (type === FrameType.Ready) return this.#setReady();
    const remote = this.#processes.get(process);
    if (type === FrameType.Stdout) remote?.take('stdout', payload);
    if (type === FrameType.Stderr) remote?.take('stderr', payload);
    if (type !== FrameType.Exit) return;
    this.#processes.delete(process);
    remote?.finish(payload.readInt32LE(0));
  }

  #close(lost: Error): void {
    this.#lost = lost;
    this.#setLost(lost);
    for (const remote of this.#processes.values()) remote.finish(undefined, lost);
    this.#processes.clear();
  }
}
