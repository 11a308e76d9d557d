/** The loop of a page worker: serves its channels in turn, the most urgent one first, and sleeps when none has work. */
import { POLLIN } from '../native.js';
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
  /** Nothing has come for a while: IDLE_MS, then again and again LONGEST_WAIT_MS. */
  idle(): void;
}

/** Without work for that long, tasks are told. */
const IDLE_MS = 20;

/** Until the link is stopped. `wakeFd` is readable from the hand-over on, for those that wait for it. */
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
    gatherSources(tasks, handedOver ? -1 : wakeFd, set);
    if (signal.stopped) break;
    if (set.wait(isIdle && !tasks.some(triesAgain) ? LONGEST_WAIT_MS : IDLE_MS)) continue;
    isIdle = true;
    for (const task of tasks) task.idle();
  }
}

function triesAgain(task: ChannelTask): boolean {
  return task.triesAgain === true;
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
