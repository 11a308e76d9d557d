/**
 * One machine: the VM of its kind, guest RAM, vCPUs with their threads, and the device worker. Built empty; a boot or a
 * migration gives it its first state.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BootFiles } from '../boot/boot-entry.js';
import type { MachineName } from '../configure/machine-setting.js';
import { Cleanup } from '../basics/cleanup.js';
import { Deadline } from '../basics/deadline.js';
import { ANNOUNCE_AT_MS } from '../devices/virtio/net/announce.js';
import { PostcopyError } from '../errors.js';
import type { GuestMemory } from '../memory/guest-memory.js';
import { guestAddressOf, VIRTIO_GSIS, VIRTIO_MMIO_BYTES, VIRTIO_MMIO_START } from '../memory/layout.js';
import { PAGE_SIZE } from '../memory/page-size.js';
import { native, type NativeMemory, type NativeVcpu, type NativeVm } from '../native.js';
import { DeviceLink, NoAnswerError } from './device-link.js';
import type { VirtioSpec } from './device-messages.js';
import { beginDirtyLog, type DirtyLog } from './dirty-log.js';
import type { DiskSample } from '../host/disk-sample.js';
import type { HostDevices } from '../host/host-devices.js';
import type { DeviceLines } from '../host/kinds/kind.js';
import { kvmMachine } from './kvm-machine.js';
import { LostPages } from './lost-pages.js';
import type { MachineKind, MachineParts, MachineShape } from './machine-kind.js';
import type { Clocks, ClocksMoment, MachineState } from './machine-state.js';
import { threadMachine } from './thread-machine.js';
import { CLOSE_WAIT_MS, closeVcpus, Standstills } from './vcpus.js';

export const MACHINE_KINDS: Record<MachineName, MachineKind> = { kvm: kvmMachine, threads: threadMachine };

/** The machine's ends of the lines to the host, its own from now on. */
export interface MachineLines extends DeviceLines {
  /** COM1. */
  serialFd: number;
}

/**
 * A guest stands still no longer than this for what its vCPUs and devices wait for: storage that does not answer, for one.
 * Then it does not move, and goes on here.
 */
export const STOPPED_LIMIT_MS = 10_000;
/** One wait in the thread that asks is no longer than this; in between the event loop turns. */
const PARK_WAIT_MS = 2;
/** Between two looks at a bridge that does not pass on yet what the guest sends; and how long it may take. */
const SILENT_LOOK_MS = 500;
const SILENT_MS = 120_000;
/** Longer than a destination needs to find out that it does not get the VM, and to let go of its disks. */
const RELOCK_WAIT_MS = 30_000;

/** Guest RAM that is not all here: who touches a page that is missing waits in the kernel until it comes. */
export interface ComingPages {
  /** They go on, and read zeroes. */
  letGo(): Promise<void>;
}

/** What devices leave behind when their machine's disks are given up. */
export interface ReleasedDevices {
  devices: unknown;
  diskSamples: DiskSample[];
}

export class Machine {
  readonly #parts: MachineParts;
  #closing: Promise<boolean> | undefined;
  #halted = false;
  /** Held: as if paused, until the hold is let go; then those run that should by then. */
  #held = false;
  #shouldRun = false;
  /** How often its vCPUs were told to run. */
  #resumed = 0;
  readonly #standstills: Standstills;
  readonly lostPages: LostPages;
  #tscKhz: number;
  #dirtyLog: DirtyLog | undefined;
  /** Of a machine that comes from another host, until all of its RAM is here. */
  comingPages: ComingPages | undefined;
  /** Bytes of a vCPU's XSAVE state on this host. */
  readonly xsaveBytes: number;

  private constructor(
    readonly kind: MachineKind,
    parts: MachineParts,
    readonly devices: DeviceLink,
    /** Not the machine's own: a guest's reset makes another one. */
    readonly hostDevices: HostDevices,
  ) {
    this.#parts = parts;
    // Asked now: a vCPU that runs does not answer.
    this.#tscKhz = kind.tscKhz(parts);
    this.#standstills = new Standstills(parts.vcpus);
    this.lostPages = new LostPages({
      vcpus: parts.vcpus,
      runs: () => this.#runs,
      tell: (vcpu, page) => kind.tellLostPage(parts, vcpu, guestAddressOf(this.memory.bytes, page * PAGE_SIZE)),
    });
    this.xsaveBytes = parts.vcpus[0]!.getState('xsave').length;
  }

  /**
   * `lines` and `devices`, which may have been started before, are the machine's from now on. `hostDevices` must be open,
   * and must stay so until the machine is closed.
   */
  static async create(
    kind: MachineKind,
    shape: MachineShape,
    lines: MachineLines,
    hostDevices: HostDevices,
    devices = new DeviceLink(),
  ): Promise<Machine> {
    const cleanup = new Cleanup();
    /** Those that the device worker gets, and closes from when it serves. */
    const descriptors = new Cleanup();
    cleanup.add(() => descriptors.run());
    try {
      for (const fd of [lines.serialFd, lines.consoleFd]) descriptors.add(() => native.closeFd(fd));
      const parts = kind.build(shape, cleanup);
      const { vm, memory } = parts;
      const virtio = addVirtio(vm, hostDevices, lines, descriptors);
      await devices.serve({ vm, memory, serialFd: lines.serialFd, virtio });
      descriptors.forget();
      return new Machine(kind, parts, devices, hostDevices);
    } catch (error) {
      // The device worker goes before what it serves.
      await devices.close();
      await cleanup.run();
      throw new PostcopyError('HOST_LACKS', 'cannot build the virtual machine on this host', error);
    }
  }

  get memory(): NativeMemory {
    return this.#parts.memory;
  }

  get vcpus(): NativeVcpu[] {
    return this.#parts.vcpus;
  }

  get cpus(): number {
    return this.vcpus.length;
  }

  /** A kernel into its fresh RAM, and vCPUs at its entry. Throws PostcopyError. */
  load(memory: GuestMemory, files: BootFiles, rsdpAddress: number): void {
    this.kind.load(this.#parts, memory, files, rsdpAddress);
  }

  /**
   * The guest is over: vCPUs stop where they can, and nothing lets them go on, nor the devices, which the device worker
   * has stopped itself. Nobody waits for that: some wait for pages that are still to come.
   */
  halt(): void {
    this.#halted = true;
    for (const vcpu of this.vcpus) vcpu.requestPause();
  }

  /**
   * vCPUs and devices stand still where they can, apart from what pause() and resume() say meanwhile. Nobody waits for it:
   * some wait for pages that are still to come.
   */
  hold(): void {
    this.#held = true;
    for (const vcpu of this.vcpus) vcpu.requestPause();
    this.devices.pause(Deadline.in(STOPPED_LIMIT_MS)).catch(() => {});
  }

  /** After hold(). */
  letGoOn(): void {
    this.#held = false;
    if (this.#shouldRun) this.resume();
    this.devices.resume().catch(() => {});
  }

  /** Its vCPUs stand still for pages that are long in coming: the guest's watchdogs are told. See Standstills. */
  async excuseStandstill(): Promise<void> {
    const resumed = this.#resumed;
    await this.#standstills.excuse(() => this.#runs && this.#resumed === resumed);
  }

  /** As far as it is this machine's to say. */
  get #runs(): boolean {
    return this.#shouldRun && !this.#held && !this.#halted && this.#closing === undefined;
  }

  /** The guest's TSC frequency: the host's own as long as no other was set; 0 if KVM does not say. */
  get tscKhz(): number {
    return this.#tscKhz;
  }

  /**
   * That of a guest that comes from another host, before it has any state; 0 if that one does not know it. Throws HOST_LACKS
   * if KVM refuses it.
   */
  setTscKhz(khz: number): void {
    if (khz === 0) return;
    if (!this.kind.setTscKhz(this.#parts, khz)) throw this.#refusedTsc(khz);
    this.#tscKhz = this.kind.tscKhz(this.#parts);
  }

  /** See MachineKind. */
  get constantMsrs(): Uint8Array {
    return this.kind.constantMsrs(this.#parts);
  }

  /** See MachineKind. */
  tryMsrs(msrs: Uint8Array): string[] {
    return this.kind.tryMsrs(this.#parts, msrs);
  }

  /** vCPUs alone: devices pause and go on with releaseDevices() and goOn(). */
  resume(): void {
    this.#shouldRun = true;
    if (this.#halted || this.#held) return;
    this.#resumed++;
    for (const vcpu of this.vcpus) {
      if (vcpu.waitParked(0)) vcpu.notePaused();
      vcpu.resume();
    }
  }

  /**
   * Parks all vCPUs. Takes as long as the pages and devices do that they wait for, if there is no deadline; rejects with
   * MIGRATION_FAILED behind it, and with what `signal` was aborted with: resume() has them go on. Returns
   * monotonicMicros() of the last one.
   */
  async pause(deadline?: Deadline, signal?: AbortSignal): Promise<number> {
    this.#shouldRun = false;
    for (const vcpu of this.vcpus) vcpu.requestPause();
    for (const [index, vcpu] of this.vcpus.entries()) {
      while (!vcpu.waitParked(PARK_WAIT_MS)) {
        signal?.throwIfAborted();
        if (deadline?.leftMs === 0) throw this.#tooLate(`vCPU ${index} does not stop`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    return Math.max(...this.vcpus.map((vcpu) => vcpu.parkedAt));
  }

  /**
   * What is written of its RAM from when this resolves on. One at a time: the caller ends it; a machine that is closed does
   * too. Rejects with HOST_LACKS where nothing can tell.
   */
  async beginDirtyLog(): Promise<DirtyLog> {
    const log = await beginDirtyLog(this.kind.name, this.#parts);
    if (this.#closing !== undefined) {
      log.end();
      throw new PostcopyError('WRONG_STATE', 'the VM has ended');
    }
    this.#dirtyLog = log;
    return log;
  }

  /** Of a paused machine: all of its clocks, in one moment; they run on. */
  readClocks(): Clocks {
    return this.kind.readClocks(this.#parts);
  }

  /** Of a paused machine, with its clocks, and the state of its devices of the same moment. */
  save(clocks: Clocks, devices: unknown): MachineState {
    return { cpu: this.kind.save(this.#parts, clocks), devices };
  }

  /** Everything but time. */
  async restore(state: MachineState): Promise<void> {
    this.kind.restore(this.#parts, state.cpu);
    // After the interrupt controllers: the devices raise the lines that were high, which KVM does not keep.
    await this.devices.restore(state.devices);
  }

  /**
   * Of a paused machine: devices finish what they have in flight, and its disks are any host's from here on. Resolves to
   * the devices' state, with clocks as they were at that moment. Rejects, with the disks locked still, if a device cannot
   * by then.
   */
  async releaseDevices(deadline: Deadline, { atMicros }: ClocksMoment): Promise<ReleasedDevices> {
    // Asked at once: each answer takes two wake-ups.
    const paused = this.devices.pause(deadline);
    const saved = this.devices.save(deadline, atMicros);
    saved.catch(() => {}); // a device that cannot pause says why
    try {
      await paused;
      const samples = this.hostDevices.disks.takeSamples(); // while the devices are being saved
      const released = { devices: await saved, diskSamples: await samples };
      await this.hostDevices.disks.unlock(deadline);
      return released;
    } catch (error) {
      throw error instanceof NoAnswerError ? this.#tooLate(error.message) : error;
    }
  }

  /**
   * After pause() and releaseDevices(), whether they went well or not. `paused`: the devices alone. Throws if another host
   * has a disk by now.
   */
  async goOn(paused = false): Promise<void> {
    await this.hostDevices.disks.relock(RELOCK_WAIT_MS);
    this.#goOn(paused);
  }

  /**
   * All clocks go on where they would be if they had run on since that moment; then the devices and the vCPUs run. If it is
   * paused, vCPUs stay parked until resume(). Throws before a vCPU runs, if the device worker has ended since restore():
   * nobody hears of that yet, and the guest would run without devices.
   */
  resumeAfter(state: MachineState, moment: ClocksMoment, paused = false): void {
    const { failure } = this.devices;
    if (failure !== undefined) throw new PostcopyError('INTERNAL', 'the devices of the VM have failed', failure);
    this.kind.startClocks(this.#parts, state.cpu, moment.atMicros, this.tscKhz);
    // The worker does what it was asked before anything that a vCPU wants; who has failed says so itself.
    this.devices.startClocks(moment).catch(() => {});
    this.#goOn(paused);
    void this.#announce();
  }

  /** Again when a bridge begins to pass frames on: what was sent before was lost. */
  async #announce(): Promise<void> {
    const tell = (): void => {
      for (const ms of ANNOUNCE_AT_MS) setTimeout(() => void this.devices.announce().catch(() => {}), ms).unref();
    };
    tell();
    const { nets } = this.hostDevices;
    if (nets.silent().length === 0) return;
    const limit = Deadline.in(SILENT_MS);
    while (nets.silent().length > 0 && limit.leftMs > 0) await delay(SILENT_LOOK_MS, undefined, { ref: false });
    if (this.#closing === undefined) tell();
  }

  /**
   * Stops and frees all. False if the device worker or a disk still waits in the kernel, for a page or for storage: then
   * all of it stays until the process ends. `devicesWaitMs`: for devices that finish what they have in flight; the first
   * call counts.
   */
  close(devicesWaitMs?: number): Promise<boolean> {
    this.#closing ??= this.#close(devicesWaitMs);
    return this.#closing;
  }

  #goOn(paused: boolean): void {
    if (this.#halted) return;
    if (!paused) this.resume();
    // Nobody waits for this: a worker that waits for storage answers late, and one that has failed says so itself.
    this.devices.resume().catch(() => {});
  }

  #refusedTsc(khz: number): PostcopyError {
    const ours = this.#tscKhz === 0 ? '' : `, whose own is ${this.#tscKhz} kHz`;
    return new PostcopyError(
      'HOST_LACKS',
      `KVM of this host${ours}, cannot give the guest its TSC frequency of ${khz} kHz`,
    );
  }

  #tooLate(what: string): PostcopyError {
    const limit = `in the ${STOPPED_LIMIT_MS / 1000} s that the guest may stand still`;
    const [disk] = this.hostDevices.disks.unanswered();
    const why = disk === undefined ? '' : `: disk ${disk.id}, ${disk.path}, does not end its requests`;
    return new PostcopyError('MIGRATION_FAILED', `${what} ${limit}${why}`);
  }

  /**
   * The order matters. vCPUs are told to stop first: one that waits for a page leaves KVM instead of going on with zeroes.
   * Devices end before anybody is let go who waits for a page, or a disk would be given zeroes. And the VM goes last: it
   * waits for the workers of the kernel that fetch pages for it (KVM's asynchronous page faults), which no signal reaches.
   */
  async #close(devicesWaitMs?: number): Promise<boolean> {
    for (const vcpu of this.vcpus) vcpu.requestPause();
    if (!(await this.devices.close(devicesWaitMs)) || this.#diskMayWaitForPages()) return false;
    await this.comingPages?.letGo();
    this.#parts.vm.close(); // vCPUs get no answer of a device any more; they keep the VM until they are closed
    if (!closeVcpus(this.vcpus, CLOSE_WAIT_MS)) return false;
    this.#dirtyLog?.end();
    this.memory.close();
    return true;
  }

  /** A device worker that failed has left its requests behind. */
  #diskMayWaitForPages(): boolean {
    return this.comingPages !== undefined && this.hostDevices.disks.unanswered().length > 0;
  }
}

/** What a virtio-mmio slot needs of KVM, and of the device worker. */
function addVirtio(vm: NativeVm, hostDevices: HostDevices, lines: DeviceLines, descriptors: Cleanup): VirtioSpec[] {
  return hostDevices.backends(lines).map((backend, slot) => {
    const notifyFd = native.createEventFd();
    descriptors.add(() => native.closeFd(notifyFd));
    vm.addVirtio(VIRTIO_MMIO_START + slot * VIRTIO_MMIO_BYTES, VIRTIO_GSIS[slot]!, notifyFd);
    return { ...backend, slot, notifyFd };
  });
}
