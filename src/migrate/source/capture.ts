/** What the source does while the guest stands still, from the last vCPU stopped to STATE ready to be sent. */
import { Deadline } from '../../basics/deadline.js';
import { encodeRamMap, pagesIn } from '../../memory/ram-map.js';
import { native } from '../../native.js';
import type { Clocks, ClocksMoment } from '../../machine/machine-state.js';
import { STOPPED_LIMIT_MS, type Machine, type ReleasedDevices } from '../../machine/machine.js';
import { DowntimeLaps } from '../report/downtime.js';
import type { Body } from '../wire/message.js';
import { contentOf, firstPages, firstState, withoutLost } from './first-pages.js';
import type { SourcePageChannels } from './page-channels.js';
import type { Rounds } from './rounds.js';

const NONE = new Uint32Array(0);

/** What the guest was when it stopped. */
export interface Capture {
  state: Body<'state'>;
  /** When the guest's clocks were read. */
  clocksAt: ClocksMoment;
  /** Pages of guest RAM that hold data, and those of them that the destination has as they are. */
  dataPages: number;
  heldPages: number;
  laps: DowntimeLaps;
}

/**
 * Stops the guest and takes its state. Pages that have come to hold data since `offered` are looked up last, as saving
 * state may touch guest memory; behind `rounds`, what they have left of all pages. `paused`: it stood still already, but
 * for its devices. When this rejects, the guest stands still, or will in a moment: machine.goOn().
 */
export async function capture(
  machine: Machine,
  channels: Pick<SourcePageChannels, 'offer' | 'hold' | 'takeFirst'>,
  offered: Uint32Array,
  signal: AbortSignal,
  paused = false,
  rounds?: Pick<Rounds, 'settle'>,
): Promise<Capture> {
  const deadline = Deadline.in(STOPPED_LIMIT_MS);
  const laps = new DowntimeLaps();
  const stoppedAt = await machine.pause(deadline, signal);
  // One that stood still before could have been resumed until now.
  laps.begin(paused ? native.monotonicMicros() : stoppedAt);
  laps.lap('stop', native.monotonicMicros());
  const clocks = machine.readClocks();
  const [first, { devices, diskSamples }] = await releaseDevices(machine, deadline, clocks);
  signal.throwIfAborted();
  const state = machine.save(clocks, devices);
  laps.lap('save', native.monotonicMicros());
  const { held, lacking } = (await rounds?.settle(signal)) ?? {
    held: NONE,
    lacking: machine.memory.dataExtentsOutside(offered),
  };
  if (rounds !== undefined) laps.lap('copy', native.monotonicMicros());
  channels.hold(held);
  channels.offer(lacking);
  const pages = channels.takeFirst(withoutLost(machine.memory, first));
  const firstContent = contentOf(machine.memory, pages);
  const ramMap = encodeRamMap(lacking);
  laps.lap('map', native.monotonicMicros());
  const heldPages = pagesIn(held);
  const dataPages = pagesIn(offered) + heldPages + pagesIn(lacking);
  const body = { ...state, ramMap, held: encodeRamMap(held), firstPages: pages, firstContent, diskSamples };
  return { state: body, clocksAt: clocks.moment, dataPages, heldPages, laps };
}

/** The pages that vCPUs touch first are found while the device worker is at it. */
async function releaseDevices(
  machine: Machine,
  deadline: Deadline,
  clocks: Clocks,
): Promise<[first: number[], ReleasedDevices]> {
  const devices = machine.releaseDevices(deadline, clocks.moment);
  try {
    const first = machine.vcpus.map((vcpu) => firstState(vcpu, machine.kind.name));
    return [firstPages(machine.memory, first), await devices];
  } catch (error) {
    // The guest may go on here only when nothing of this is under way any more.
    await devices.catch(() => {});
    throw error;
  }
}
