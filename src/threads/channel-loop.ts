/** The loop of a page worker: serves its channels in turn, the most urgent one first, and sleeps when none has work. */
import { native, POLLIN } from '../native.js';
import type { GoSignal } from './go-signal.js';
import { PollSet } from './poll-set.js';
import { LONGEST_WAIT_MS } from './serve-job.js';

/** One channel of a worker. None of its calls waits, and each is short: the other channels get their turn in between. */
export interface ChannelTask {
  /** Does a piece of what there is to do now; false if there is nothing. */
  step(): boolean;
  /** Adds what more work will come by. */
  sources(set: PollSet): void;
  /** What it could not do now is to be tried again, though nothing comes: after IDLE_MS. */
  readonly triesAgain?: boolean;
  /** Milliseconds after which it has more to do, though nothing comes, since it had its turn; 0: it waits for no time. */
  readonly dueMs?: number;
  /** Nothing has come for a while: IDLE_MS, then again and again LONGEST_WAIT_MS. */
  idle(): void;
}

/** Without work for that long, tasks are told. */
const IDLE_MS = 20;

/** Until the link is stopped. `wakeFd`, of this loop alone, is readable when something before or at the hand-over is new. */
export function serveChannels(tasks: ChannelTask[], signal: GoSignal, wakeFd: number): void {
  const set = new PollSet();
  let isIdle = false;
  while (!signal.stopped) {
    // Looked at before the tasks look: one that comes after they did has to wake them.
    const handedOver = signal.handedOver;
    if (stepAll(tasks)) {
      isIdle = false;
      continue;
    }
    const awaited = handedOver ? -1 : wakeFd;
    gatherSources(tasks, awaited, set);
    if (signal.stopped) break;
    const dueMs = firstDueMs(tasks);
    const idleMs = isIdle && !tasks.some(triesAgain) ? LONGEST_WAIT_MS : IDLE_MS;
    const came = set.wait(Math.min(dueMs, idleMs));
    // Before the tasks look again: what is new behind this wakes them anew.
    if (came && awaited >= 0 && set.revents(set.count - 1) !== 0) native.drainEventFd(awaited);
    // Whoever has waited for its time was not idle.
    if (came || dueMs <= idleMs) continue;
    isIdle = true;
    for (const task of tasks) task.idle();
  }
}

function triesAgain(task: ChannelTask): boolean {
  return task.triesAgain === true;
}

function firstDueMs(tasks: ChannelTask[]): number {
  let first = Infinity;
  for (let i = 0; i < tasks.length; i++) {
    const dueMs = tasks[i]!.dueMs ?? 0;
    if (dueMs > 0 && dueMs < first) first = dueMs;
  }
  return first;
}

function stepAll(tasks: ChannelTask[]): boolean {
  let worked = false;
  for (let i = 0; i < tasks.length; i++) if (tasks[i]!.step()) worked = true;
  return worked;
}

function gatherSources(tasks: ChannelTask[], wakeFd: number, set: PollSet): void {
  set.clear();
  for (let i = 0; i < tasks.length; i++) tasks[i]!.sources(set);
  if (wakeFd >= 0) set.add(wakeFd, POLLIN);
}
