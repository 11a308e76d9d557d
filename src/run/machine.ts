/**
 * One machine: the KVM VM, guest RAM, vCPUs with their threads, and the device worker. Built empty; a boot or a
 * migration gives it its first state.
 */
import { interruptRouting } from '../boot/interrupt-routing.js';
import { PostcopyError } from '../errors.js';
import { KVM_IDENTITY_MAP_ADDRESS, KVM_TSS_ADDRESS, ramRegions } from '../memory/layout.js';
import { native, type NativeMemory, type NativeVcpu, type NativeVm } from '../native.js';
import { DeviceLink } from './device-link.js';
import { MTRRS } from './vcpu-state.js';
import { restoreKvmState, saveKvmState, startClocks, type MachineState } from './machine-state.js';

export interface MachineShape {
  memoryBytes: number;
  /** Packed CPUID entries, one array a vCPU. */
  cpuid: Uint8Array[];
  /** Of a guest that comes from another host; KVM's own otherwise. */
  tscKhz?: number;
}

/** One wait in the thread that asks is no longer than this; in between the event loop turns. */
const PARK_WAIT_MS = 2;
/** A vCPU that does not leave the kernel by then is waiting for a page that will not come. */
const CLOSE_WAIT_MS = 1000;

export class Machine {
  readonly #msrIndices = Uint32Array.from([...native.kvmMsrIndices(), ...MTRRS]);
  #closing: Promise<boolean> | undefined;
  /** The guest's TSC frequency; 0 if KVM does not say. */
  readonly tscKhz: number;
  /** Bytes of a vCPU's XSAVE state on this host. */
  readonly xsaveBytes: number;

  private constructor(
    readonly memory: NativeMemory,
    readonly vm: NativeVm,
    readonly vcpus: NativeVcpu[],
    readonly devices: DeviceLink,
  ) {
    // Asked now: a vCPU that runs does not answer.
    this.tscKhz = vcpus[0]!.getTscKhz();
    this.xsaveBytes = vcpus[0]!.getState('xsave').length;
  }

  /**
   * `serialFd`: the guest's end of the serial line. It and `devices`, which may have been started before, are the
   * machine's from now on.
   */
  static async create(shape: MachineShape, serialFd: number, devices = new DeviceLink()): Promise<Machine> {
    const undo: (() => void)[] = [() => native.closeFd(serialFd)];
    try {
      const memory = new native.GuestMemory(shape.memoryBytes, 'anonymous');
      undo.push(() => memory.close());
      const vm = new native.Vm();
      undo.push(() => vm.close());
      vm.createIrqchip(KVM_TSS_ADDRESS, KVM_IDENTITY_MAP_ADDRESS);
      vm.setRouting(interruptRouting());
      ramRegions(shape.memoryBytes).forEach((region, slot) =>
        vm.setMemory(slot, region.guestAddress, memory, region.ramOffset, region.bytes),
      );
      const vcpus = shape.cpuid.map((cpuid, index) => {
        const vcpu = new native.Vcpu(vm, index);
        undo.push(() => vcpu.close(CLOSE_WAIT_MS));
        vcpu.setCpuid(cpuid);
        return vcpu;
      });
      if (shape.tscKhz !== undefined) for (const vcpu of vcpus) vcpu.setTscKhz(shape.tscKhz);
      undo.shift(); // the device worker's from here on
      await devices.serve(vm, serialFd);
      return new Machine(memory, vm, vcpus, devices);
    } catch (error) {
      for (const step of undo.reverse()) step();
      await devices.close();
      throw new PostcopyError('HOST_LACKS', 'cannot build the virtual machine on this host', error);
    }
  }

  get cpus(): number {
    return this.vcpus.length;
  }

  resume(): void {
    for (const vcpu of this.vcpus) {
      vcpu.notePaused();
      vcpu.resume();
    }
  }

  /** Parks all vCPUs. Takes as long as the pages do that they wait for. Returns monotonicMicros() of the last one. */
  async pause(): Promise<number> {
    for (const vcpu of this.vcpus) vcpu.requestPause();
    for (const vcpu of this.vcpus) {
      while (!vcpu.waitParked(PARK_WAIT_MS)) await new Promise((resolve) => setImmediate(resolve));
    }
    return Math.max(...this.vcpus.map((vcpu) => vcpu.parkedAt));
  }

  /** Of a paused machine. `clockAt`: monotonicMicros() when its clocks were read. */
  async save(): Promise<{ state: MachineState; clockAt: number }> {
    const devices = await this.devices.save();
    const { state, clockAt } = saveKvmState(this.vm, this.vcpus, this.#msrIndices);
    return { state: { ...state, devices }, clockAt };
  }

  /** Everything but time. */
  async restore(state: MachineState): Promise<void> {
    restoreKvmState(this.vm, this.vcpus, state);
    // After the interrupt controllers: the devices raise the lines that were high, which KVM does not keep.
    await this.devices.restore(state.devices);
  }

  /** Clocks go on where they stood, plus the time since they were read; then the vCPUs run. */
  resumeAfter(state: MachineState, sinceMicros: number): void {
    startClocks(this.vm, this.vcpus, state, sinceMicros, this.tscKhz);
    this.resume();
  }

  /**
   * Stops and frees all. False if a vCPU still waits in the kernel for a page: then RAM and the VM stay until the
   * process ends, and a userfaultfd on them must stay open as long.
   */
  close(): Promise<boolean> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<boolean> {
    for (const vcpu of this.vcpus) vcpu.requestPause();
    const closed = this.vcpus.map((vcpu) => vcpu.close(CLOSE_WAIT_MS)).every(Boolean);
    await this.devices.close();
    if (!closed) return false;
    this.vm.close();
    this.memory.close();
    return true;
  }
}
