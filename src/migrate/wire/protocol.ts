/**
 * The wire protocol of a migration, version 8.
 *
 * One listening port at the destination takes all connections. Each begins with a preamble of 32 bytes that says which
 * channel it is and which migration it belongs to, and is answered by one (preamble.ts):
 *
 *   control   one       messages of the hand-over, both directions (message.ts, frame.ts)
 *   urgent    one       REQUEST to the source, PAGE to the destination (page-frames.ts)
 *   bulk      1 to 16   EXTENT and ZERO to the destination, RECEIVED to the source (page-frames.ts)
 *
 * source                                            destination
 *   HELLO  release, machine, CPUID, files, devices,
 *          options, features that it offers     ->    checks all of it, opens disks and TAPs
 *                                               <-  ACCEPT with the features chosen, or REFUSE with every reason at once
 *   opens urgent and bulk channels              ->    everything that takes time is made ready
 *   TRIAL on each of them, if chosen            ->                    (urgent, bulk)
 *                                               <-  TRIED             (urgent, bulk)
 *   OUTPUT of the consoles, if chosen           ->    who attaches to one there sees it
 *   RAM    map of pages that hold data          ->    (post-copy; in other modes the rounds below)
 *   stops the vCPUs, drains devices, unlocks disks
 *   STATE  CPU, chips, clock, devices,
 *          pages that hold data since RAM,
 *          pages that vCPUs touch first         ->    locks disks, loads it; may REQUEST pages from here on
 *                                               <-  LOADED
 *   OUTPUT that has come since, if any          ->
 *   COMMIT epoch                                ->    from here the source runs this epoch only if it is given back
 *                                               <-  RUNNING
 *   PUSHING                                     ->    the source knows that the guest runs: it may go on running for ever
 *                                               <-  REQUEST pages     (urgent)
 *   PAGE                                        ->                    (urgent)
 *   EXTENT of pages, ZERO, LOST if chosen       ->                    (bulk)
 *                                               <-  RECEIVED, cumulative: the source frees up to here
 *                                               <-  PROGRESS, ten times a second
 *   END of a bulk channel                       ->                    (bulk)
 *                                               <-  COMPLETE
 *   PUSHING and PING, if no page was pushed     ->
 *                                               <-  PONG: it has read PUSHING
 *   BYE                                         ->
 *
 * In the modes pre-copy and hybrid, which need the feature `rounds`, pages cross before the guest stops, in rounds, and RAM is
 * not sent:
 *
 *   COPYING                                     ->    no phase of this is in a hurry: only the link is watched
 *   EXTENT of pages, ZERO, as often as needed   ->    (bulk)  the last one of a page counts
 *                                               <-  RECEIVED  (bulk)
 *   stops, and STATE as above, with the pages
 *   that it lacks, and those that it holds      ->    gives back what it holds besides
 *
 * The source begins no round before all of the last one is RECEIVED, on every channel, and nothing is on its way when it sends
 * STATE. In pre-copy STATE lacks nothing, unless the guest was too fast for it.
 *
 * A connection that breaks behind COMMIT is replaced, with all the others: the source opens new ones whose preambles have the
 * same migration and the next generation, as often as it takes. The destination speaks first there:
 *
 *   control channel of generation n             ->
 *                                               <-  STANDING  never-ran, runs with the pages that it lacks, whole, or lost
 *   runs:      opens urgent and bulk channels of
 *              generation n, then PUSHING       ->    and on as above, from REQUEST on
 *   never-ran: BYE                              ->    the guest goes on at the source
 *   whole:     BYE                              ->    as for COMPLETE
 *
 * Channels of later generations are not tried: every page may be waited for, and there is nothing left to refuse.
 *
 * Until PUSHING comes (or a page of the push, or BYE), the guest runs for ALONE_MS at most. A source of which nothing is heard
 * may take the guest back after ALONE_AT_MOST_MS, if a person answers for that.
 *
 * PING is answered by PONG at any time; a side that hears nothing for LINK_TIMEOUT_MS, behind RUNNING for
 * RECOVERABLE_LINK_TIMEOUT_MS, takes the link for broken (version 7: HANDED_OVER_LINK_TIMEOUT_MS, and for lost). Before COMMIT either side may send ABORT; the destination also in
 * place of RUNNING, and then it never runs this epoch, so that the source may. LOST in place of COMPLETE says why the guest
 * stands still at the destination, short of pages. A closed connection never means success.
 *
 * Version policy. Each end speaks its own version and the one before, so that hosts can be upgraded one after the other
 * with VMs on them. The source asks in its own; a destination that does not speak it answers with the verdict `version` and
 * its own, and the source connects again in that one if it speaks it. All channels of a migration are of one version. What
 * each version has is said below, in FIELDS_SINCE, and nowhere else: the schemas (message.ts) are those of the newest
 * version, in which every field that an older version lacks has a default. A new version is for what an end cannot do
 * without. All else is a feature: the source offers the names of those that it has, the destination chooses among them and
 * ignores names that it does not know, and neither end uses one that was not chosen. A message of an unknown type breaks the
 * protocol.
 *
 *   8  a broken link comes back: STANDING, PUSHING, and `generation` in the preamble; HELLO has `paused`, `cpu`,
 *      `constantMsrs` and `mode`, ACCEPT has `findings`, STATE has `diskSamples` and `held`, COMMIT has `wallClockMs` and
 *      `clocksAtMicros`
 *   7  the oldest that is spoken
 */
export const PROTOCOL_VERSIONS = [8, 7] as const;
export type ProtocolVersion = (typeof PROTOCOL_VERSIONS)[number];
/** The newest version. */
export const PROTOCOL_VERSION = PROTOCOL_VERSIONS[0];

/** Fields that messages have had since a version: an end that speaks an older one neither sends nor reads them. */
export const FIELDS_SINCE: readonly { version: ProtocolVersion; message: string; fields: readonly string[] }[] = [
  { version: 8, message: 'hello', fields: ['paused'] },
  { version: 8, message: 'hello', fields: ['cpu', 'constantMsrs'] },
  { version: 8, message: 'commit', fields: ['wallClockMs', 'clocksAtMicros'] },
  { version: 8, message: 'accept', fields: ['findings'] },
  { version: 8, message: 'state', fields: ['diskSamples'] },
  { version: 8, message: 'hello', fields: ['mode'] },
  { version: 8, message: 'state', fields: ['held'] },
];

/** A destination of this version waits on when a source gives up before the hand-over; others end. */
export function waitsOn(version: ProtocolVersion): boolean {
  return version >= 8;
}

/** The ends of a migration in this version can meet again when their link broke behind COMMIT. */
export function canRecover(version: ProtocolVersion): boolean {
  return version >= 8;
}

export function isSpoken(version: number): version is ProtocolVersion {
  return (PROTOCOL_VERSIONS as readonly number[]).includes(version);
}

/** The fields of a message that this version does not have. */
export function fieldsBeyond(version: ProtocolVersion, message: string): readonly string[] {
  return FIELDS_SINCE.filter((since) => since.version > version && since.message === message).flatMap(
    ({ fields }) => fields,
  );
}

/** The destination takes OUTPUT: what the guest has written to its consoles lately. */
export const RECENT_OUTPUT = 'recent-output';
/** The destination answers TRIAL on page channels: each is tried with frames of all sizes before the guest stops. */
export const CHANNEL_TRIAL = 'channel-trial';
/** The destination takes COPYING and pages before STATE: it can be the other end of the modes pre-copy and hybrid. */
export const ROUNDS = 'rounds';
/** The destination takes LOST in place of a page that the source has lost to a memory error. */
export const LOST_PAGES = 'lost-pages';
/** What this release can do beyond its version, if the other end can as well. */
export const FEATURES: readonly string[] = [RECENT_OUTPUT, CHANNEL_TRIAL, ROUNDS, LOST_PAGES];
/** Features that HELLO offers at most. */
export const FEATURES_MAX = 64;

/** Of what the destination has compared; a finding's words at most. */
export const FINDINGS_MAX = 128;
export const FINDING_CHARACTERS_MAX = 512;

/** Silence on the control channel after which the link counts as lost. */
export const LINK_TIMEOUT_MS = 5000;
/**
 * The same behind RUNNING, and for page channels. Before COMMIT, giving up costs a guest nothing; here, giving up loses the
 * guest, and TCP carries on by itself after an outage that is shorter.
 */
export const HANDED_OVER_LINK_TIMEOUT_MS = 30_000;
/** The same where the ends can meet again: nothing is lost by looking for each other too early. */
export const RECOVERABLE_LINK_TIMEOUT_MS = 10_000;
/** From COMMIT on, a guest may run for so long without the source having said that it knows; then it is halted. */
export const ALONE_MS = 20_000;
/**
 * From when COMMIT went out, the same with all that may come between, the longest wait for COMMIT to begin with: from then on
 * somebody at the source may take a guest back of which nothing was heard.
 */
export const ALONE_AT_MOST_MS = 45_000;
export const PING_INTERVAL_MS = 500;
/** Between two reports of the destination while pages come in. */
export const PROGRESS_INTERVAL_MS = 100;

/** Longest wait for the other side in each phase before COMMIT, and for RUNNING after it. */
export const CONNECT_TIMEOUT_MS = 5000;
/** Of a connection that was taken; the host that took it may be busy, and nothing is lost by waiting. */
export const FIRST_ANSWER_TIMEOUT_MS = 30_000;
export const ANSWER_TIMEOUT_MS = 30_000;
export const HAND_OVER_TIMEOUT_MS = 10_000;

/** Of the time in which page channels are opened and tried; a slow link takes long to what they are tried with. */
export const PREPARING_TIMEOUT_MS = 60_000;
/** Longest wait for a channel that is tried to get on. */
export const TRIAL_TIMEOUT_MS = 10_000;
/** TRIAL frames on one channel at most. */
export const TRIALS_MAX = 32;

/** Pages in one EXTENT at most: what the destination installs with one system call. */
export const EXTENT_PAGES_MAX = 64;
/** Pages that go along with STATE at most: the guest stands still for them. */
export const FIRST_PAGES_MAX = 128;
/** Pages in one REQUEST at most. */
export const REQUEST_PAGES_MAX = 64;
