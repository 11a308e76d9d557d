/**
 * One run of the soak: a migration of postcopy's own guest at work, between two processes on the machine of threads, with the
 * faults of its plan; then what has become of the VM, looked at at both ends, and what is left of the processes.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { describeError, PostcopyError } from '../../src/errors.js';
import type { MigrationProgress, MigrationSummary } from '../../src/migrate/report/summary.js';
import type { GuestConsole } from '../../src/trial/guest-console.js';
import type { SpawnedVm } from '../../src/trial/spawned-vm.js';
import { answers, verifyWhole, work, yieldCores } from '../support/guest-vms.js';
import type { End } from '../support/relay.js';
import { BothEnds, LIMIT_MS, requireEnd } from './both-ends.js';
import { FaultyNetwork } from './network.js';
import { planText, type Fault, type Plan } from './plan.js';
import { mayEndAs, type Outcome } from './verdict.js';

const POLL_MS = 100;
/** A destination notices at once that its connections were reset, if it needs them still. */
const NOTICES_MS = 20_000;
/** A guest that is halted stands still for that long. */
const STANDS_STILL_MS = 500;
const EXIT_FAILED = 12;
const EXIT_LINK_LOST = 13;
/** Of pre-copy, whose guest may write faster than any link; milliseconds and seconds. */
const ROUND_LIMITS = { downtime: 1000, timeout: 5 };
const RAN_THERE = 'runs here';

export interface Run {
  plan: Plan;
  /** Of `plan`, those whose moment came. */
  fired: readonly Fault[];
  outcome: Outcome | undefined;
  /** Longest time for which the ends looked for each other, as far as the source has said. */
  interruptedMs: number;
  seconds: number;
  /** What must not be, with all that was noted and said. */
  violation: string | undefined;
}

/** Never rejects. `room`: an empty directory, or the place for one. */
export async function run(plan: Plan, room: string): Promise<Run> {
  const begunAt = performance.now();
  const trial = new Trial(plan, room);
  let problem: string | undefined;
  try {
    await trial.play();
  } catch (error) {
    problem = describeError(error);
  }
  problem = [problem, await trial.cleanUp()].filter((text) => text !== undefined).join('; ') || undefined;
  return {
    ...{ plan, fired: trial.fired, outcome: trial.outcome, interruptedMs: trial.interruptedMs },
    seconds: (performance.now() - begunAt) / 1000,
    violation: problem === undefined ? undefined : [`${problem}`, planText(plan), ...(await trial.logs())].join('\n'),
  };
}

type MigrationEnd = { summary: MigrationSummary } | { error: unknown };

class Trial {
  readonly #plan: Plan;
  readonly #ends: BothEnds;
  #network: FaultyNetwork | undefined;
  #interruptedAt: number | undefined;
  interruptedMs = 0;
  outcome: Outcome | undefined;

  constructor(plan: Plan, room: string) {
    this.#plan = plan;
    this.#ends = new BothEnds(plan, room);
  }

  get fired(): readonly Fault[] {
    return this.#network?.fired ?? [];
  }

  get #source(): SpawnedVm {
    return this.#ends.source;
  }

  get #destination(): SpawnedVm {
    return this.#ends.destination;
  }

  async play(): Promise<void> {
    const guest = await this.#begin();
    const network = (this.#network = await this.#connect());
    const migration = this.#migrate(network);
    await Promise.race([migration, network.killed, this.#ends.hangs('the migration')]);
    const killed = network.killing;
    if (killed !== undefined) await network.killed;
    await network.calm();
    const outcome = await this.#outcome(killed, migration, guest);
    this.outcome = outcome;
    network.say(`the VM: ${outcome}`);
    const allowed = mayEndAs(network.passed, killed);
    if (!allowed.includes(outcome)) throw new Error(`it is ${outcome}, where it should be ${allowed.join(' or ')}`);
    if (this.#ends.watch.double !== undefined) throw new Error(`it ran twice: ${this.#ends.watch.double}`);
  }

  /** The guest at work. */
  async #begin(): Promise<GuestConsole> {
    await this.#source.reach('running');
    yieldCores(this.#source.pid);
    const guest = await this.#source.guest();
    await guest.command(`fill mib=${this.#plan.fillMib}`, 'filled');
    await work(guest, this.#plan.pattern);
    return guest;
  }

  async #connect(): Promise<FaultyNetwork> {
    const { listen } = await this.#destination.reach('waiting');
    const [host, port] = listen!.split(':');
    return FaultyNetwork.open({ host: host!, port: Number(port) }, this.#plan.faults, this.#ends);
  }

  #migrate(network: FaultyNetwork): Promise<MigrationEnd> {
    const { channels, prefetch, mode, onTimeout } = this.#plan;
    const rounds = { mode, onTimeout, ...ROUND_LIMITS };
    const request = { ...network.address, channels, prefetch, ...rounds };
    return this.#source.client
      .migrate(request, (progress) => this.#progressed(progress))
      .then(
        (summary) => {
          network.say(`migrate: ${summary.status} ${summary.error?.message ?? ''}`);
          return { summary };
        },
        (error: unknown) => {
          network.say(`migrate: ${describeError(error)}`);
          return { error };
        },
      );
  }

  #progressed({ phase }: MigrationProgress): void {
    const now = performance.now();
    if (phase === 'interrupted') this.#interruptedAt ??= now;
    else this.#interruptedAt = undefined;
    if (this.#interruptedAt !== undefined) {
      this.interruptedMs = Math.max(this.interruptedMs, now - this.#interruptedAt);
    }
  }

  async #outcome(killed: End | undefined, migration: Promise<MigrationEnd>, guest: GuestConsole): Promise<Outcome> {
    if (killed === 'source') return this.#ofDeadSource(migration);
    if (killed === 'destination') return this.#ofDeadDestination(migration, guest);
    const summary = summaryOf(await migration);
    if (summary.status === 'completed') return this.#moved();
    if (summary.status === 'failed') return this.#stayed(guest);
    throw new Error(`${summary.status}: ${summary.error?.message}`);
  }

  async #moved(): Promise<Outcome> {
    const end = await this.#ends.end('source');
    if (end.signal !== 'SIGKILL') requireEnd('source', end, [0]);
    await this.#destination.reach('running');
    yieldCores(this.#destination.pid);
    await worksAndIsWhole(await this.#destination.guest());
    const { interruption } = await this.#destination.reach('running');
    if (interruption !== undefined) throw new Error('the destination, which has it all, awaits its source');
    await this.#ends.stop('destination', [0]);
    return 'moved';
  }

  async #stayed(guest: GuestConsole): Promise<Outcome> {
    await this.#destinationNeverRan();
    await this.#runsAtSource(guest);
    return 'stayed';
  }

  async #runsAtSource(guest: GuestConsole): Promise<void> {
    await this.#source.reach('running');
    await worksAndIsWhole(guest);
    await this.#ends.stop('source', [0]);
  }

  /** It has ended, or ends when it is asked to, and has not run the guest. */
  async #destinationNeverRan(): Promise<void> {
    if (this.#ends.watch.destinationRan) throw new Error('vCPUs of the destination have run');
    const { stderr } = await this.#ends.stop('destination', [0, EXIT_FAILED]);
    if (stderr.includes(RAN_THERE)) throw new Error('the destination says that it ran the guest');
  }

  async #ofDeadSource(migration: Promise<MigrationEnd>): Promise<Outcome> {
    const end = await migration;
    if (!('error' in end) && end.summary.status !== 'completed') throw new Error('migrate says that the VM is here');
    const { passed } = this.#network!;
    if (!passed.arrived.has('commit')) return this.#goneWithSource();
    const here = passed.sent.has('complete') && passed.toldKnown ? 'whole' : await this.#arrived();
    if (here === 'never ran') return this.#goneWithSource();
    if (here === 'whole') return this.#moved();
    const outcome = passed.toldKnown ? 'runs short' : 'halted';
    if (outcome === 'halted') await this.#standsStill();
    await this.#ends.stop('destination', [EXIT_LINK_LOST]);
    return outcome;
  }

  async #goneWithSource(): Promise<Outcome> {
    await this.#destinationNeverRan();
    return 'gone with its source';
  }

  /** What the destination has of a VM whose source is dead. */
  async #arrived(): Promise<'never ran' | 'whole' | 'short'> {
    const deadline = performance.now() + NOTICES_MS;
    for (;;) {
      const status = await Promise.race([
        this.#destination.client.status().catch(() => undefined),
        this.#destination.ended.then(() => 'ended' as const),
      ]);
      if (status === 'ended' || status?.state === 'waiting') return 'never ran';
      if (status?.interruption !== undefined) return 'short';
      // Whether that is so will be seen.
      if (performance.now() > deadline) return status?.state === 'running' ? 'whole' : 'never ran';
      await delay(POLL_MS);
    }
  }

  async #standsStill(): Promise<void> {
    const deadline = performance.now() + LIMIT_MS;
    for (let before = -1; ;) {
      const now = this.#ends.watch.ticks('destination');
      if (now === before) return;
      if (performance.now() > deadline) throw new Error('a guest of which its source did not know runs on');
      before = now;
      await delay(STANDS_STILL_MS);
    }
  }

  async #ofDeadDestination(migration: Promise<MigrationEnd>, guest: GuestConsole): Promise<Outcome> {
    const interrupted = this.#source.reach('interrupted').then(
      () => undefined,
      () => undefined, // it ended, or the migration has
    );
    const end = await Promise.race([migration, interrupted]);
    if (end === undefined) return this.#withoutDestination(migration, guest);
    const { status } = summaryOf(end);
    if (status === 'failed') return this.#runsAtSource(guest).then(() => 'stayed');
    if (status !== 'completed') throw new Error(`migrate says ${status} before anybody has given the destination up`);
    requireEnd('source', await this.#ends.end('source'), [0]);
    return 'gone with its destination';
  }

  /** Somebody says that the destination is gone for good. */
  async #withoutDestination(migration: Promise<MigrationEnd>, guest: GuestConsole): Promise<Outcome> {
    if (await answers(this.#source, STANDS_STILL_MS)) throw new Error('the guest runs at a source that handed it over');
    if (this.#network!.passed.toldRuns) {
      const refused = await this.#takeBack();
      if (refused === undefined) throw new Error('a guest that has run at the destination was taken back');
      await this.#ends.stop('source', [EXIT_LINK_LOST]);
      return 'lost';
    }
    const deadline = performance.now() + LIMIT_MS;
    for (;;) {
      const refused = await this.#takeBack();
      if (refused === undefined) break;
      if (refused.code !== 'WRONG_STATE' || performance.now() > deadline) throw refused;
      await delay(POLL_MS);
    }
    await migration;
    await this.#runsAtSource(guest);
    return 'taken back';
  }

  /** Why not, if it cannot be. */
  async #takeBack(): Promise<PostcopyError | undefined> {
    try {
      await this.#source.client.resume({ force: true });
      return undefined;
    } catch (error) {
      if (error instanceof PostcopyError && error.code === 'WRONG_STATE') return error;
      throw error;
    }
  }

  cleanUp(): Promise<string | undefined> {
    return this.#ends.cleanUp(this.#network);
  }

  logs(): Promise<string[]> {
    return this.#ends.logs(this.#network);
  }
}

function summaryOf(end: MigrationEnd): MigrationSummary {
  if ('error' in end) throw new Error(`migrate failed: ${describeError(end.error)}`);
  return end.summary;
}

/** Twice: what it has rewritten here has to be right as well. */
async function worksAndIsWhole(guest: GuestConsole): Promise<void> {
  if ((await verifyWhole(guest)) === 0) throw new Error('the guest has no pages to verify');
  await work(guest);
  if ((await verifyWhole(guest)) === 0) throw new Error('the guest has no pages to verify');
}
