/**
 * What happens to a VM, told as facts to whoever wants to know: the log, the stream of a migration's progress, a program
 * that embeds the VM. The words for people are in text.ts.
 */

import type { Fact } from '../errors.js';

/** Life of a VM process, as `postcopy status` shows it. */
export type VmState =
  | 'waiting' // receive: no VM has come yet
  | 'incoming' // receive: a VM is being taken over, it does not run here yet
  | 'running'
  | 'paused'
  | 'migrating' // still runs here, a migration is being prepared
  | 'handed-over' // runs on the other host, this end still serves its pages
  | 'interrupted' // as handed-over; the link to the other host is broken, and the ends look for each other
  | 'link-lost' // a migration broke after COMMIT; this end keeps what it has
  | 'ending' // powered itself off, reset itself or failed while its pages still come: stands still until they are here
  | 'migrated' // everything is at the destination
  | 'stopped'
  | 'failed';

/** The guest runs on another host, which still needs pages that are here. */
export function pagesLeave(state: VmState): boolean {
  return state === 'handed-over' || state === 'interrupted';
}

export type MigrationPhase =
  | 'writing-back'
  | 'connecting'
  | 'preparing'
  | 'watching' // where the guest writes, before it is stopped
  | 'copying' // in rounds, while the guest runs here
  | 'handing-over'
  | 'pulling'
  | 'interrupted' // the link is broken, nothing is lost, and the ends look for each other
  | 'complete'
  | 'failed'
  | 'link-lost';

export interface MigrationProgress {
  phase: MigrationPhase;
  /** Pages that still have to reach the destination; while copying, in this round. */
  pagesLeft: number;
  pagesTotal: number;
  /** Bytes sent a second over the last interval, all channels. */
  bytesPerSecond: number;
  /** Demand requests received and not answered yet. */
  faultsWaiting: number;
  elapsedMs: number;
  /** Bytes per second that may be sent at most; not set if there is no limit. */
  bandwidth?: number | undefined;
  /** While pages are copied before the hand-over. */
  round?: { number: number; dirtyPagesPerSecond: number } | undefined;
  /** As its page channels showed it when they were tried: the shortest round trip, and the sum of their rates, at least. */
  link?: { roundTripUs: number; bytesPerSecond: number } | undefined;
}

/** What a page channel showed of its way when it was tried, before the guest stopped. */
export interface ChannelTrial {
  kind: 'urgent' | 'bulk';
  /** Of a bulk channel; 0 for the urgent one. */
  index: number;
  /** Microseconds, the shortest. */
  roundTripUs: number;
  /** At least: a connection that is new has not reached its rate. */
  bytesPerSecond: number;
  /** As TCP has it, for the way from the source; not of a channel that goes through TLS. */
  segmentBytes?: number | undefined;
  mtu?: number | undefined;
}

/** Something that was compared or measured before a VM moves, and what came of it, for people. */
export interface Finding {
  what: string;
  result: string;
}

export type Happening = Told & {
  /** Milliseconds since 1970, clock of this host. */
  at: number;
  /** The VM's name. */
  vm: string;
  /** Of what a guest can cause as often as it likes: so many of this type before this one were not told. */
  untold?: number;
};

/** What happens, and the facts to which somebody has advice. */
export type Told = What & { facts?: readonly Fact[] };

export type What =
  | { type: 'state'; state: VmState }
  /** A VM that wanted to come here was refused. */
  | { type: 'refused'; peer: string; reasons: string[] }
  /** A VM that was announced does not come. */
  | { type: 'not-begun'; peer: string; reason: string }
  /** The VM runs here, or is paused as it was at the peer, and its pages still come. */
  | { type: 'arrived'; peer: string; paused: boolean }
  /** The link of a migration broke behind COMMIT, at either end; nothing is lost, and the ends look for each other. */
  | { type: 'interrupted'; peer: string; text: string }
  /** The ends have met again. */
  | { type: 'met'; peer: string }
  /** All pages of a VM that has arrived are here. */
  | { type: 'whole'; peer: string }
  /** The guest is over, and what is still awaited before its VM is over as well. */
  | { type: 'awaits'; text: string }
  /** What was awaited does not come, and nobody needs it. */
  | { type: 'not-awaited'; text: string }
  /** The guest has reset itself, and starts again. */
  | { type: 'guest-reset'; source: string }
  /** The guest's kernel says that it has panicked; the VM runs on. */
  | { type: 'guest-panicked' }
  | { type: 'phase'; phase: MigrationPhase }
  | { type: 'progress'; progress: MigrationProgress }
  /** The VM is at the peer now, all of it. */
  | { type: 'completed'; peer: string }
  /** The VM stays here, in that state. */
  | { type: 'migration-failed'; peer: string; state: VmState; reason: string }
  /** A migration broke behind COMMIT, at either end. */
  | { type: 'lost'; text: string }
  /** Something that a person has to see to. */
  | { type: 'problem'; text: string }
  /** The guest goes on with disks that another host has had. */
  | { type: 'disks-back' }
  /** The guest goes on here after a migration in doubt: somebody has answered for it that the peer has not run it. */
  | { type: 'doubt-settled'; peer: string }
  /** A device says something to the operator. */
  | { type: 'device'; text: string }
  | { type: 'ended'; reason: string; message: string; code?: string };
