/** One of each state and event of a VM's life, with names in place of what they hold. */
import type { Event, SendResult, State } from '../../../src/vm/life.js';
import type { Request } from '../../../src/vm/requests.js';
import type { Final, Over } from '../../../src/vm/over.js';

export interface Names {
  guest: string;
  arrival: string;
  send: string;
  order: string;
  address: string;
}

export const GUEST = 'guest';
const SEND = 'send';
const ARRIVAL = 'arrival';

const POWER_OFF: Final = {
  what: 'power-off',
  why: 'off',
  again: false,
  end: { reason: 'power-off', message: 'off' },
};
const RESET: Over = { what: 'reset', why: 'reset', again: true, source: 'port 0x64' };
const FAILED: Final = {
  what: 'failed',
  why: 'failed',
  again: false,
  end: { reason: 'failed', message: 'failed', code: 'INTERNAL' },
};
const STOPPED: Final = {
  what: 'stopped',
  why: 'the VM was stopped',
  again: false,
  end: { reason: 'stopped', message: 'stopped' },
};

const DISK = new Error('another host has a disk');

const here = { guest: GUEST, arrival: undefined, problem: undefined };
const coming = { guest: GUEST, arrival: ARRIVAL, problem: undefined };
const no = { held: undefined, stopped: undefined, over: undefined, broken: undefined };
const sending = { guest: GUEST, send: SEND, paused: false, ...no };
const broken = { ranThere: true, takeBackFrom: 45_000_000 };
const doubt = { guest: GUEST, peer: 'there', reason: 'silence' };
const loss = { while: 'leaving', peer: 'there', reason: 'silence' } as const;

export const STATES = {
  starting: { type: 'starting' },
  waiting: { type: 'waiting', arrival: ARRIVAL },
  incoming: { type: 'incoming', arrival: ARRIVAL, peer: 'there' },
  running: { type: 'running', ...here },
  'running, arriving': { type: 'running', ...coming },
  pausing: { type: 'pausing', ...here },
  'pausing, arriving': { type: 'pausing', ...coming },
  paused: { type: 'paused', ...here, held: undefined },
  'paused, arriving': { type: 'paused', ...coming, held: undefined },
  'paused, held': { type: 'paused', ...here, held: DISK },
  retaking: { type: 'retaking', guest: GUEST, held: DISK },
  'ending, off': { type: 'ending', guest: GUEST, arrival: ARRIVAL, over: POWER_OFF },
  'ending, again': { type: 'ending', guest: GUEST, arrival: ARRIVAL, over: RESET },
  leaving: { type: 'leaving', ...sending },
  'leaving, paused': { type: 'leaving', ...sending, paused: true },
  'leaving, held': { type: 'leaving', ...sending, held: DISK },
  'leaving, disk stopped': { type: 'leaving', ...sending, stopped: { text: 'disk', facts: [] } },
  'leaving, off': { type: 'leaving', ...sending, over: POWER_OFF },
  'leaving, again': { type: 'leaving', ...sending, over: RESET },
  'leaving, stopped': { type: 'leaving', ...sending, over: STOPPED },
  away: { type: 'away', ...sending },
  'away, paused': { type: 'away', ...sending, paused: true },
  'away, held': { type: 'away', ...sending, held: DISK },
  'away, failed': { type: 'away', ...sending, over: FAILED },
  'away, broken': { type: 'away', ...sending, broken },
  'away, doubted': { type: 'away', ...sending, broken: { ...broken, ranThere: false } },
  inDoubt: { type: 'inDoubt', ...doubt },
  settling: { type: 'settling', ...doubt },
  lost: { type: 'lost', guest: GUEST, arrival: undefined, loss, over: undefined },
  'lost, failed': { type: 'lost', guest: GUEST, arrival: undefined, loss, over: FAILED },
  'lost, unseen': { type: 'lost', guest: undefined, arrival: ARRIVAL, loss, over: undefined },
  restarting: { type: 'restarting', guest: GUEST, source: 'port 0x64', shown: 'running', problem: undefined },
  'restarting, paused': { type: 'restarting', guest: GUEST, source: 'port 0x64', shown: 'paused', problem: undefined },
  ended: { type: 'ended', end: STOPPED.end, was: { type: 'running', ...here } },
} satisfies Record<string, State<Names>>;

export type StateName = keyof typeof STATES;

const migrated = { reason: 'migrated', message: 'moved' } as const;
const sent = (result: SendResult): Event<Names> => ({ type: 'sent', send: SEND, result });
const peer = 'there';

export const EVENTS = {
  booted: { type: 'booted', guest: 'another' },
  'not-booted': { type: 'not-booted', end: FAILED.end },
  listens: { type: 'listens', arrival: ARRIVAL },
  announced: { type: 'announced', peer },
  'not-taken': { type: 'not-taken', reasons: ['too small'], refused: true, facts: [] },
  arrived: { type: 'arrived', guest: GUEST, paused: false },
  'arrived, paused': { type: 'arrived', guest: GUEST, paused: true },
  whole: { type: 'whole' },
  'broken-off': { type: 'broken-off', loss: { while: 'arriving', peer, pagesMissing: 7, reason: 'silence' } },
  'not-come': { type: 'not-come', end: FAILED.end },
  'disk-stopped': { type: 'disk-stopped', guest: GUEST, problem: { text: 'disk', facts: [] } },
  off: { type: 'guest-over', guest: GUEST, over: POWER_OFF },
  reset: { type: 'guest-over', guest: GUEST, over: RESET },
  'machine-failed': { type: 'machine-failed', guest: GUEST, over: FAILED },
  parked: { type: 'parked', guest: GUEST },
  'not-parked': { type: 'not-parked', guest: GUEST },
  'disks-taken': { type: 'disks-taken', guest: GUEST },
  'gone-on': { type: 'gone-on', guest: GUEST },
  'not-gone-on': { type: 'not-gone-on', guest: GUEST },
  leaves: { type: 'leaves', guest: GUEST, send: SEND },
  commit: { type: 'commit', send: SEND },
  held: { type: 'held', send: SEND, reason: DISK },
  'sent, completed': sent({ status: 'completed', peer, end: migrated }),
  'sent, failed': sent({ status: 'failed', peer, reason: { text: 'no', facts: [] } }),
  'sent, tried': sent({ status: 'tried', peer }),
  'sent, lost': sent({ status: 'link-lost', peer, reason: 'silence', inDoubt: false }),
  'sent, in doubt': sent({ status: 'link-lost', peer, reason: 'silence', inDoubt: true }),
  broken: { type: 'link', send: SEND, broken },
  doubted: { type: 'link', send: SEND, broken: { ...broken, ranThere: false } },
  mended: { type: 'link', send: SEND, broken: undefined },
  'cancel-late': { type: 'cancel-late', send: SEND, end: STOPPED.end },
} satisfies Record<string, Event<Names>>;

export type EventName = keyof typeof EVENTS;

export const REQUESTS = {
  pause: { type: 'pause' },
  resume: { type: 'resume', force: false, now: 0 },
  'resume --force': { type: 'resume', force: true, now: 45_000_000 },
  'resume --force, early': { type: 'resume', force: true, now: 44_000_000 },
  recover: { type: 'recover', address: undefined },
  migrate: { type: 'migrate', order: 'order', wait: false },
  'migrate --wait': { type: 'migrate', order: 'order', wait: true },
  limit: { type: 'limit', bandwidth: 1e8 },
  measure: { type: 'measure' },
  cancel: { type: 'cancel', why: 'it was cancelled' },
  stop: { type: 'stop', force: false, over: STOPPED },
  'stop --force': { type: 'stop', force: true, over: STOPPED },
} satisfies Record<string, Request<Names>>;

export type RequestName = keyof typeof REQUESTS;

/** The name of a state, of what follows in it, and of what is done. */
export function nameOf(state: State<Names>): string {
  return [state.type, ...details(state)].join(', ');
}

function details(state: State<Names>): string[] {
  if (state.type === 'ended') return [state.end.reason];
  const found: string[] = [];
  if (state.type !== 'waiting' && state.type !== 'incoming' && 'arrival' in state && state.type !== 'ending') {
    if (state.arrival !== undefined) found.push(state.type === 'lost' ? 'unseen' : 'arriving');
  }
  if ('paused' in state && state.paused) found.push('paused');
  if ('held' in state && state.held !== undefined && state.type !== 'retaking') found.push('held');
  if ('stopped' in state && state.stopped !== undefined) found.push('disk stopped');
  if ('over' in state && state.over !== undefined) found.push(state.over.what);
  if ('broken' in state && state.broken !== undefined) found.push(state.broken.ranThere ? 'broken' : 'doubted');
  if ('problem' in state && state.problem !== undefined) found.push('problem');
  if (state.type === 'restarting' && state.shown !== 'running') found.push(state.shown);
  return found;
}
