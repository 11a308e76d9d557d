import type { LabHost } from './host.js';
import type { RemoteProcess } from './remote-process.js';

const ANSWER_LIMIT_MS = 30_000;

/** What lab-peer (test/fixtures/lab-peer) says of the connection it has. */
export interface PeerReport {
  open: boolean;
  /** Lines. */
  sent: number;
  received: number;
  /** Lines that were not the next number: lost, repeated or out of order. */
  errors: number;
  /** Between two lines from the guest, since resetSilence(). */
  longestSilenceMs: number;
}

/** A third party on the network that a guest keeps talking to while it moves. */
export class Peer {
  private constructor(
    readonly host: LabHost,
    readonly port: number,
    readonly process: RemoteProcess,
  ) {}

  static async start(host: LabHost, port: number): Promise<Peer> {
    const process = host.spawn(`lab-peer ${port}`);
    await process.output(/"listening"/, ANSWER_LIMIT_MS);
    return new Peer(host, port, process);
  }

  /** The newest report; undefined before the first connection. */
  get report(): PeerReport | undefined {
    const lines = this.process.stdout.split('\n').slice(0, -1);
    const line = lines.findLast((text) => text.includes('"open"'));
    return line === undefined ? undefined : (JSON.parse(line) as PeerReport);
  }

  async resetSilence(): Promise<void> {
    const resets = (): number => this.process.stdout.split('"reset"').length;
    const before = resets();
    this.process.write('reset\n');
    await this.process.until('reset', () => resets() > before || undefined, ANSWER_LIMIT_MS);
  }

  /** Waits until `count` more lines have come from the guest; the report then. Throws if the connection ends. */
  async moreLines(count: number, timeoutMs: number): Promise<PeerReport> {
    const goal = (this.report?.received ?? 0) + count;
    return this.process.until(`get ${count} lines`, () => this.#reportOf(goal), timeoutMs);
  }

  #reportOf(received: number): PeerReport | undefined {
    const { report } = this;
    if (report?.open === false) throw new Error(`The connection with the guest ended: ${JSON.stringify(report)}`);
    return report !== undefined && report.received >= received ? report : undefined;
  }
}
