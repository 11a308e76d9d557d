import { z } from 'zod';
import { KEYBOARD_COMMAND_PORT, RESET_CONTROL_PORT } from '../memory/layout.js';
import type { Bus, BusDevice } from './bus.js';
import type { Surroundings } from './surroundings.js';
import { byteSchema } from './state-schema.js';

/** RST_CPU: going from 0 to 1 resets. */
const RST_CPU = 1 << 2;
/** "Pulse output port" with the CPU reset line. */
const PULSE_RESET = 0xfe;
/** Keyboard status: nothing to read, ready for commands. All ones would mean busy, and make a rebooting guest wait. */
const KEYBOARD_IDLE = 0;

export const resetControlStateSchema = z.strictObject({ control: byteSchema });
export type ResetControlState = z.infer<typeof resetControlStateSchema>;

/** The two ways a PC is reset: the chipset's reset control register (0xCF9) and the keyboard controller's command 0xFE. */
export class ResetControl {
  readonly #surroundings: Surroundings;
  #control = 0;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  addTo(ports: Bus): void {
    ports.add(RESET_CONTROL_PORT, 1, this.#resetRegister());
    ports.add(KEYBOARD_COMMAND_PORT, 1, this.#keyboardCommand());
  }

  save(): ResetControlState {
    return { control: this.#control };
  }

  restore(state: ResetControlState): void {
    this.#control = state.control;
  }

  #resetRegister(): BusDevice {
    return {
      accessBytes: 1,
      read: () => this.#control,
      write: (_offset, _size, value) => {
        const rising = value & ~this.#control & RST_CPU;
        this.#control = value;
        if (rising !== 0) this.#surroundings.reset('reset control register');
      },
    };
  }

  #keyboardCommand(): BusDevice {
    return {
      accessBytes: 1,
      read: () => KEYBOARD_IDLE,
      write: (_offset, _size, value) => {
        if (value === PULSE_RESET) this.#surroundings.reset('keyboard controller');
      },
    };
  }
}
