import { REGISTER } from './mmio-registers.js';
import type { RingAddresses } from './split-ring.js';
import type { QueueRegistersState } from './virtio-state.js';

const FRESH: QueueRegistersState = {
  size: 0,
  ready: false,
  descriptorTable: [0, 0],
  availableRing: [0, 0],
  usedRing: [0, 0],
};

/** The registers of one queue, those behind QueueSel (virtio 1.2, 4.2.2). What they say is checked when it is used. */
export class QueueRegisters {
  #state = structuredClone(FRESH);

  get ready(): boolean {
    return this.#state.ready;
  }

  set ready(ready: boolean) {
    this.#state.ready = ready;
  }

  /** Writes are lost while the queue is ready: 4.2.2.2 forbids them. */
  write(register: number, value: number): void {
    const state = this.#state;
    if (state.ready) return;
    switch (register) {
      case REGISTER.queueNum:
        state.size = value;
        break;
      case REGISTER.queueDescLow:
        state.descriptorTable[0] = value;
        break;
      case REGISTER.queueDescHigh:
        state.descriptorTable[1] = value;
        break;
      case REGISTER.queueDriverLow:
        state.availableRing[0] = value;
        break;
      case REGISTER.queueDriverHigh:
        state.availableRing[1] = value;
        break;
      case REGISTER.queueDeviceLow:
        state.usedRing[0] = value;
        break;
      case REGISTER.queueDeviceHigh:
        state.usedRing[1] = value;
        break;
    }
  }

  get rings(): RingAddresses {
    const { size, descriptorTable, availableRing, usedRing } = this.#state;
    return {
      size,
      descriptorTable: address(descriptorTable),
      availableRing: address(availableRing),
      usedRing: address(usedRing),
    };
  }

  reset(): void {
    this.restore(FRESH);
  }

  save(): QueueRegistersState {
    return structuredClone(this.#state);
  }

  restore(state: QueueRegistersState): void {
    this.#state = structuredClone(state);
  }
}

/** Above 2^53 it is not exact, and nowhere near RAM. */
function address([low, high]: readonly [number, number]): number {
  return low + high * 2 ** 32;
}
