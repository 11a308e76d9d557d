/**
 * The clocks of a guest on KVM. The source reads them in one moment; the destination starts them where they would be by
 * then, each moved on by the same time: TSCs, kvmclock, the timers of the local APICs, the PIT. (The clocks of the device
 * models follow in the device worker: device-set.ts, startClocks.) The length of the guest's absence comes from COMMIT.
 */
import { readBetween } from '../basics/read-between.js';
import { viewOf } from '../memory/byte-view.js';
import { native, type NativeVcpu, type NativeVm } from '../native.js';
import { countsDown, withTimerMoved } from './lapic-timer.js';
import { KVMCLOCK, type Clocks, type KvmState } from './machine-state.js';
import { readTsc, restoreDeadline, savedTsc, writeTsc, type VcpuState } from './vcpu-state.js';

const NANOS_PER_MICRO = 1000;
const MICROS_PER_MS = 1000;
/** A clock that took no longer to be set is right. */
const CLOSE_MICROS = 20;
const TRIES = 4;
/** KVM takes TSCs that are less than a second apart for one; so does this, as vCPUs are read one after the other. */
const ONE_TSC_MS = 1000n;

/** Of parked vCPUs. All but the first TSC are a little older: the destination gives all vCPUs the first one's offset. */
export function readClocks(vm: NativeVm, vcpus: NativeVcpu[]): Clocks {
  const others = vcpus.slice(1).map(readTsc);
  const { value, atMicros } = readBetween(native.monotonicMicros, () => ({
    first: readTsc(vcpus[0]!),
    kvmclock: vm.getState('clock'),
    wallClockMs: Date.now(),
  }));
  const { first, kvmclock, wallClockMs } = value;
  return { moment: { atMicros, wallClockMs }, tscs: [first, ...others], kvmclock };
}

/**
 * Starts the clocks of a guest whose state is loaded and to whom nobody gives interrupts yet: those that come while the
 * timers of local APICs are set would be lost. `atMicros`: ClocksMoment's. The PIT begins its count anew: KVM neither
 * says nor takes what is left of it.
 */
export function startClocks(
  vm: NativeVm,
  vcpus: NativeVcpu[],
  state: KvmState,
  atMicros: number,
  tscKhz: number,
): void {
  startTscs(vcpus, state.vcpus, atMicros, tscKhz);
  vcpus.forEach((vcpu, i) => restoreDeadline(vcpu, state.vcpus[i]!));
  vcpus.forEach((vcpu, i) => startLapicTimer(vcpu, state.vcpus[i]!, atMicros));
  vm.setState('pit', state.chips.pit);
  startKvmclock(vm, state.clock, atMicros);
}

function startTscs(vcpus: NativeVcpu[], states: VcpuState[], atMicros: number, tscKhz: number): void {
  const first = savedTsc(states[0]!);
  if (first === undefined) return;
  const ticksUntil = (micros: number) => BigInt(Math.round(((micros - atMicros) * tscKhz) / MICROS_PER_MS));
  const now = readBetween(native.monotonicMicros, () => readTsc(vcpus[0]!));
  const offset = vcpus[0]!.getTscOffset();
  vcpus.forEach((vcpu, i) => {
    const own = savedTsc(states[i]!) ?? first;
    const tsc = isOne(own - first, tscKhz) ? first : own;
    const moved = tsc + ticksUntil(now.atMicros) - (now.value ?? 0n);
    if (offset !== undefined && vcpu.setTscOffset(BigInt.asIntN(64, offset + moved))) return;
    writeTsc(vcpu, tsc + ticksUntil(native.monotonicMicros()), i === 0);
  });
}

function isOne(difference: bigint, tscKhz: number): boolean {
  const limit = BigInt(tscKhz) * ONE_TSC_MS;
  return difference < limit && difference > -limit;
}

function startLapicTimer(vcpu: NativeVcpu, { lapic }: VcpuState, atMicros: number): void {
  if (!countsDown(lapic)) return;
  vcpu.setState('lapic', withTimerMoved(vcpu.getState('lapic'), lapic, native.monotonicMicros() - atMicros));
}

/** Again if this thread lost its core meanwhile: the clock would be late by that. */
function startKvmclock(vm: NativeVm, saved: Uint8Array, atMicros: number): void {
  const nanoseconds = viewOf(saved).getBigUint64(KVMCLOCK.nanoseconds, true);
  const clock = new Uint8Array(KVMCLOCK.bytes);
  for (let tries = 0; tries < TRIES; tries++) {
    const now = native.monotonicMicros();
    const since = BigInt(Math.round((now - atMicros) * NANOS_PER_MICRO));
    viewOf(clock).setBigUint64(KVMCLOCK.nanoseconds, nanoseconds + since, true);
    vm.setState('clock', clock);
    if (native.monotonicMicros() - now <= CLOSE_MICROS) return;
  }
}
