/** What happens to a machine by itself, told as what it is for the VM. */
import type { DiskFailure } from '../devices/virtio/block/host-errors.js';
import { describeError, type ErrorCode } from '../errors.js';
import type { VcpuStop } from './exit-dispatch.js';
import type { Machine } from './machine.js';
import { describeLostPage, describeStop, STOPPED_AT_LOST_PAGE } from './vcpu-stop.js';

const STOP_WAIT_MS = 1000;

export interface GuestEvents {
  /** For the operator. */
  notice(text: string): void;
  /** Its kernel has said so; it may go on in some way, or halt. */
  panicked(): void;
  /** A page of its RAM is lost to a memory error of the host; a guest that comes to it is told, or cannot go on. */
  pageLost(text: string): void;
  /** The guest is to stop for an error of its host. */
  diskStopped(failure: DiskFailure): void;
  powerOff(): void;
  reset(source: string): void;
  /** The guest cannot go on. `why` looks at its vCPU: not for a machine that is being closed. */
  guestFailed(why: () => string): void;
  /** What serves it cannot. */
  machineFailed(code: ErrorCode, text: string): void;
}

/**
 * Of power-off, reset and a guest that cannot go on the first counts: a guest goes on for a moment behind its own reset,
 * and may even fault there. All of it stops with that: what the other vCPUs would do from then on is thrown away, and
 * must not get out.
 */
export function watchGuest(machine: Machine, events: GuestEvents): void {
  let over = false;
  const once = (tell: () => void): void => {
    if (over) return;
    over = true;
    machine.halt();
    tell();
  };
  machine.devices.on('notice', (text) => events.notice(text));
  machine.devices.on('panicked', () => events.panicked());
  machine.devices.on('disk-stopped', (failure) => events.diskStopped(failure));
  machine.devices.on('power-off', () => once(() => events.powerOff()));
  machine.devices.on('reset', (source) => once(() => events.reset(source)));
  machine.devices.on('vcpu-stopped', (stop) => {
    const end = () => once(() => events.guestFailed(() => whyItStopped(machine, stop)));
    if (stop.reason !== STOPPED_AT_LOST_PAGE) return end();
    tellOfLostPage(machine, stop, events).then((told) => told || end(), end);
  });
  machine.devices.on('failed', (error) => events.machineFailed('INTERNAL', describeError(error)));
}

async function tellOfLostPage(
  { lostPages }: Machine,
  { vcpu, detail: page }: VcpuStop,
  events: GuestEvents,
): Promise<boolean> {
  const isNew = lostPages.add(page);
  const told = await lostPages.met(vcpu, page);
  if (isNew && told)
    events.pageLost(`vCPU ${vcpu}: ${describeLostPage(page)}; the guest has been told by a machine check`);
  return told;
}

function whyItStopped(machine: Machine, stop: VcpuStop): string {
  const vcpu = machine.vcpus[stop.vcpu]!;
  return vcpu.waitParked(STOP_WAIT_MS)
    ? describeStop(stop, vcpu, machine.kind.name)
    : `the guest cannot go on: vCPU ${stop.vcpu} stopped for KVM exit ${stop.reason}`;
}
