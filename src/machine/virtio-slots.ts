/** The virtio devices of a VM on its device worker: builds them, and leads notifications and descriptors to them. */
import type { Deadline } from '../basics/deadline.js';
import type { PollSource } from '../devices/poll-source.js';
import { MmioTransport } from '../devices/virtio/mmio-transport.js';
import type { VirtioInterrupt } from '../devices/virtio/virtio-interrupt.js';
import { native, POLLIN, type NativeVm } from '../native.js';
import type { VirtioSpec } from './device-messages.js';
import { buildVirtioDevice, type BuiltDevice, type DeviceSurroundings } from './models.js';

export interface VirtioSurroundings extends DeviceSurroundings {
  vm: NativeVm;
}

export class VirtioSlots {
  readonly transports: MmioTransport[];
  readonly #devices: BuiltDevice[];
  readonly #specs: readonly VirtioSpec[];
  readonly #notifications: PollSource[];
  #paused = false;

  constructor(specs: readonly VirtioSpec[], surroundings: VirtioSurroundings) {
    this.#specs = specs;
    this.#devices = specs.map((spec) => buildVirtioDevice(spec, surroundings));
    this.transports = specs.map(
      (spec, i) =>
        new MmioTransport({
          device: this.#devices[i]!.device,
          ram: surroundings.memory,
          interrupt: interruptOf(surroundings.vm, spec.slot),
          report: (text) => surroundings.report(text),
        }),
    );
    this.#notifications = specs.map((spec, i) => this.#notification(spec.notifyFd, this.transports[i]!));
  }

  /** What to wait for now: nothing while the devices are paused. */
  *sources(): Generator<PollSource> {
    if (this.#paused) return;
    yield* this.#notifications;
    for (const transport of this.transports) yield* transport.sources;
  }

  /** Nothing is looked at until resume(): of devices whose state is being loaded, or whose guest is over. */
  hold(): void {
    this.#paused = true;
  }

  /** The devices finish what they have in flight. Throws if one cannot in time: then all of them go on with resume(). */
  pause(deadline: Deadline): void {
    this.hold();
    for (const transport of this.transports) transport.pause(deadline);
  }

  resume(): void {
    this.#paused = false;
    for (const transport of this.transports) transport.resume();
  }

  /** What the host has failed, and the devices keep, is tried again; resume() does it, too. */
  retry(): void {
    if (this.#paused) return;
    for (const transport of this.transports) transport.retry();
  }

  /** Not while paused: the guest may be on its way to yet another host, and frames of its own would call it back here. */
  announce(): void {
    if (this.#paused) return;
    for (const { announce } of this.#devices) announce?.();
  }

  #notification(fd: number, transport: MmioTransport): PollSource {
    return {
      fd,
      events: POLLIN,
      run: () => {
        // Stopped in this very turn of the loop: what the guest notified of stays for a resume().
        if (this.#paused) return;
        native.drainEventFd(fd);
        transport.notify();
      },
    };
  }

  close(): void {
    for (const { device } of this.#devices) device.reset();
    for (const { close } of this.#devices) close?.();
    for (const { notifyFd } of this.#specs) native.closeFd(notifyFd);
  }
}

function interruptOf(vm: NativeVm, slot: number): VirtioInterrupt {
  return {
    raise: (bits) => vm.raiseVirtio(slot, bits),
    status: () => vm.getVirtioInterrupts(slot),
    setStatus: (bits) => vm.setVirtioInterrupts(slot, bits),
  };
}
