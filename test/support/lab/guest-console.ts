import {
  parseClocksReport,
  parseDiskReport,
  parseRegistersReport,
  parseReport,
  parseStreamReport,
  parseTicks,
  type ClocksReport,
  type DiskReport,
  type PatternReport,
  type RegistersReport,
  type StreamReport,
  type TimedTick,
} from './guest-lines.js';
import { quote, type LabHost } from './host.js';
import type { RemoteProcess } from './remote-process.js';

const ANSWER_LIMIT_MS = 30_000;
const JOIN_LIMIT_MS = 150_000;

/**
 * Joins the unix socket of `postcopy ... --serial unix:PATH`, which may have yet to appear. `filter`: a command through
 * which its output goes.
 */
export async function joinSerial(host: LabHost, socket: string, filter?: string): Promise<RemoteProcess> {
  const join = `lab-agent join ${quote(socket)}`;
  const end = host.spawn(filter === undefined ? join : `${join} | ${filter}`);
  await end.output(/joined/, JOIN_LIMIT_MS);
  return end;
}

/**
 * The serial console of a guest, wherever it runs: what it printed on each host it was on, in one text. Join the next
 * host's socket before the guest gets there, so that nothing it prints there is missed.
 */
export class GuestConsole {
  readonly #ends: RemoteProcess[] = [];
  readonly #complaints = new Set<string>();

  /** From now on the guest is at this end; what it printed elsewhere comes before. */
  follow(end: RemoteProcess): void {
    this.#ends.push(end);
  }

  /** Everything printed so far, across hosts. */
  get text(): string {
    return this.#ends.map((end) => end.stdout).join('');
  }

  get ticks(): TimedTick[] {
    return parseTicks(this.text).map((tick) => ({ ...tick, arrivedMs: this.#arrival(tick.end) }));
  }

  /** The text on both sides of a place in it, and on which host each part of it was printed. */
  around(at: number, characters = 500): string {
    const parts: string[] = [];
    let start = 0;
    for (const [index, { stdout }] of this.#ends.entries()) {
      const part = stdout.slice(Math.max(0, at - characters - start), Math.max(0, at + characters - start));
      const place = `${index + 1} of ${this.#ends.length}, which printed ${start} to ${start + stdout.length}`;
      if (part !== '') parts.push(`--- on the host joined as number ${place}:\n${part}`);
      start += stdout.length;
    }
    return `around character ${at}:\n${parts.join('\n')}`;
  }

  /** Waits until the host joined last has printed a match. */
  waitFor(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    return this.#here.output(pattern, timeoutMs);
  }

  /** As waitFor, but looks only at what comes after the first `length` characters of `text`. */
  waitForAfter(length: number, pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    return this.#here.until(`print ${pattern}`, () => pattern.exec(this.text.slice(length)), timeoutMs);
  }

  /** Waits for `count` more ticks on the host joined last. */
  async moreTicks(count: number, timeoutMs: number): Promise<void> {
    const end = this.#here;
    const goal = parseTicks(end.stdout).length + count;
    await end.until(`bring ${count} ticks`, () => parseTicks(end.stdout).length >= goal || undefined, timeoutMs);
  }

  /** The guest's account of its pattern memory, now. */
  async report(): Promise<PatternReport> {
    return parseReport(await this.#ask('report', /LAB report [^\n]*(?=\n)/g));
  }

  /** Its account of the file that it keeps (command `disk FILE MIB`). */
  async disk(): Promise<DiskReport> {
    return parseDiskReport(await this.#ask('disk', /LAB disk [^\n]*(?=\n)/g));
  }

  /** Its account of its connection (command `stream ADDRESS PORT`). */
  async stream(): Promise<StreamReport> {
    return parseStreamReport(await this.#ask('stream', /LAB stream [^\n]*(?=\n)/g));
  }

  /** Its account of the registers that it holds (command `hold-registers`). */
  async registers(): Promise<RegistersReport> {
    return parseRegistersReport(await this.#ask('registers', /LAB registers [^\n]*(?=\n)/g));
  }

  /** Its account of the clocks that it watches (command `watch-clocks`). */
  async clocks(): Promise<ClocksReport> {
    return parseClocksReport(await this.#ask('clocks', /LAB clocks [^\n]*(?=\n)/g));
  }

  /** Waits until each CPU has looked at the registers that it holds at least once from now. Throws if one is wrong. */
  async verifyRegisters(timeoutMs: number): Promise<RegistersReport> {
    const start = await this.registers();
    const deadline = Date.now() + timeoutMs;
    // One look is under way: only the one after it begins and ends from now on.
    for (let now = start; ; now = await this.registers()) {
      if (now.errors > 0) throw new Error(`The guest's registers are not what it loaded: ${now.line}`);
      if (now.checks >= start.checks + 2) return now;
      if (Date.now() > deadline) throw new Error(`The guest looks at no register: ${now.line}, at first ${start.line}`);
      await this.moreTicks(1, timeoutMs);
    }
  }

  /** Waits until every block of the file was checked and rewritten at least once from now. Throws on any error in it. */
  async verifyDisk(timeoutMs: number): Promise<DiskReport> {
    const start = await this.disk();
    const deadline = Date.now() + timeoutMs;
    for (let now = start; ; now = await this.disk()) {
      if (now.errors + now.failures > 0) throw new Error(`The guest's file is not what it wrote: ${now.line}`);
      if (now.passes >= start.passes + 2) return now;
      if (Date.now() > deadline) throw new Error(`The guest writes no more: ${now.line}, at first ${start.line}`);
      await this.moreTicks(2, timeoutMs);
    }
  }

  /** Waits until every page of the pattern was checked at least once from now. Throws on any error in it. */
  async verifyPattern(timeoutMs: number): Promise<PatternReport> {
    const start = await this.report();
    const deadline = Date.now() + timeoutMs;
    // One pass is under way: only the one after it begins and ends from now on.
    for (let now = start; ; now = await this.report()) {
      if (now.errors > 0) throw new Error(`The guest's memory is not what it wrote: ${now.line}`);
      if (now.passes >= start.passes + 2) return now;
      if (Date.now() > deadline) {
        const processes = await this.processStates();
        throw new Error(`The guest checks no more: ${now.line}, at first ${start.line}; its processes:\n${processes}`);
      }
      await this.moreTicks(2, timeoutMs);
    }
  }

  /** For error messages: the work's processes (proc(5), stat) and the interrupts that came. */
  async processStates(): Promise<string> {
    const before = this.#here.stdout.length;
    await this.#ask('run cat /proc/interrupts; grep -h lab-work /proc/[0-9]*/stat', /LAB run code=\d+(?=\n)/g);
    return this.#here.stdout.slice(before).replace(/LAB tick [^\n]*\n/g, '');
  }

  /**
   * Lines in the guest's kernel log that complain (lockups, stalls, warnings) and were not there at the last call. An
   * emulated CPU makes any kernel complain at boot: ask once after it.
   */
  async newKernelComplaints(): Promise<string[]> {
    const before = this.#here.stdout.length;
    await this.#ask('dmesg-check', /LAB dmesg bad=\d+ [^\n]*(?=\n)/g);
    const lines = this.#here.stdout.slice(before).match(/LAB dmesg-line [^\n]*/g) ?? [];
    const fresh = lines.filter((line) => !this.#complaints.has(line));
    fresh.forEach((line) => this.#complaints.add(line));
    return fresh;
  }

  send(command: string): void {
    this.#here.write(`${command}\n`);
  }

  // When the text up to `length` had come, across hosts.
  #arrival(length: number): number {
    let start = 0;
    for (const end of this.#ends) {
      const chunk = end.arrivals.find((arrival) => start + arrival.length >= length);
      if (chunk !== undefined) return chunk.time;
      start += end.stdout.length;
    }
    return NaN;
  }

  get #here(): RemoteProcess {
    const end = this.#ends.at(-1);
    if (end === undefined) throw new Error('The console has not joined a host.');
    return end;
  }

  async #ask(command: string, answer: RegExp): Promise<string> {
    const end = this.#here;
    const answers = (): string[] => Array.from(end.stdout.matchAll(answer), (match) => match[0]);
    const before = answers().length;
    this.send(command);
    return end.until(`answer "${command}"`, () => answers()[before], ANSWER_LIMIT_MS);
  }
}
