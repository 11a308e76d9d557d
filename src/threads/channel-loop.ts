/** The loop of a page worker: serves its channels in turn, the most urgent one first, and sleeps when none has work. */
import { native, POLLIN } from '../native.js';
import type { LinkSwitch } from './link-switch.js';
import { LONGEST_WAIT_MS } from './page-worker.js';

/** One channel of a worker. None of its calls waits, and each is short: the other channels get their turn in between. */
export interface ChannelTask {
  /** Does a piece of what there is to do now; false if there is nothing. */
  step(): boolean;
  /** What more work will come by: writes [fd, events, 0] triples from `at` on, returns the end of them. */
  sources(set: Int32Array, at: number): number;
  /** Nothing has come for a while: IDLE_MS, then again and again LONGEST_WAIT_MS. */
  idle(): void;
}

/** Without work for that long, tasks are told. */
const IDLE_MS = 20;
const MOST_SOURCES = 8;

/** Until the link is stopped. `wakeFd` is readable from the hand-over on, for those that wait for it. */
export function serveChannels(tasks: ChannelTask[], link: LinkSwitch, wakeFd: number): void {
  const set = new Int32Array(MOST_SOURCES * 3);
  let isIdle = false;
  while (!link.stopped) {
    // Looked at before the tasks look: one that comes after they did has to wake them.
    const handedOver = link.handedOver;
    if (stepAll(tasks)) {
      isIdle = false;
      continue;
    }
    const sources = gatherSources(tasks, handedOver ? -1 : wakeFd, set);
    if (link.stopped) break;
    if (native.poll(set, sources, isIdle ? LONGEST_WAIT_MS : IDLE_MS) > 0) continue;
    isIdle = true;
    for (const task of tasks) task.idle();
  }
}

function stepAll(tasks: ChannelTask[]): boolean {
  let worked = false;
  for (let i = 0; i < tasks.length; i++) if (tasks[i]!.step()) worked = true;
  return worked;
}

/** How many there are. */
function gatherSources(tasks: ChannelTask[], wakeFd: number, set: Int32Array): number {
  let at = 0;
  for (let i = 0; i < tasks.length; i++) at = tasks[i]!.sources(set, at);
  if (wakeFd >= 0) at = putSource(set, at, wakeFd, POLLIN);
  return at / 3;
}

export function putSource(set: Int32Array, at: number, fd: number, events: number): number {
  set[at] = fd;
  set[at + 1] = events;
  set[at + 2] = 0;
  return at + 3;
}
