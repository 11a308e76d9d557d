/** What the states of a VM hold (life.ts), and where that is in them. */
import type { Security } from '../configure/security.js';
import type { Machine } from '../machine/machine.js';
import type { HostDevices } from '../host/host-devices.js';
import type { MigrationProgress, MigrationSummary } from '../migrate/report/summary.js';
import type { SendVm } from '../migrate/source/send-vm.js';
import type { Arrival } from './arrival.js';
import type * as life from './life.js';
import type { MigrateOptions } from '../migrate/options.js';
import type { VmRecord } from './vm-record.js';

export interface Guest {
  machine: Machine;
  record: VmRecord;
  /** Where the VM came from, and where this process listened for it. */
  from: { peer: string; listen: string } | undefined;
}

/** A migration to a peer. */
export interface Departure {
  vm: SendVm;
  /** host:port */
  peer: string;
  /** Resolves when the state that follows is entered. */
  over: Promise<MigrationSummary>;
}

export interface Order {
  host: string;
  port: number;
  security: Security;
  options: MigrateOptions;
  trace: string | undefined;
  onProgress(progress: MigrationProgress): void;
  answer(summary: Promise<MigrationSummary>): void;
}

export interface Address {
  host: string;
  port: number;
}

export interface Holdings {
  guest: Guest;
  arrival: Arrival;
  send: Departure;
  order: Order;
  address: Address;
}

export type State = life.State<Holdings>;
export type Living = life.Living<Holdings>;
export type Event = life.Event<Holdings>;
export type Action = life.Action<Holdings>;
export type Step = life.Step<Holdings>;

/** Of a VM that has ended: what it was before. */
export function lifeOf(state: State): Living {
  return state.type === 'ended' ? state.was : state;
}

export function guestOf(state: State): Guest | undefined {
  const living = lifeOf(state);
  return 'guest' in living ? living.guest : undefined;
}

export function arrivalOf(state: State): Arrival | undefined {
  const living = lifeOf(state);
  return 'arrival' in living ? living.arrival : undefined;
}

export function hostDevicesOf(state: State): HostDevices | undefined {
  return guestOf(state)?.machine.hostDevices ?? arrivalOf(state)?.hostDevices;
}

/** Where the VM is, comes from, or came from. */
export function peerOf(state: State): string | undefined {
  const living = lifeOf(state);
  switch (living.type) {
    case 'away':
      return living.send.peer;
    case 'lost':
      return living.loss.peer;
    case 'incoming':
    case 'inDoubt':
    case 'settling':
      return living.peer;
    default:
      return guestOf(living)?.from?.peer;
  }
}
