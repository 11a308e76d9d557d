/**
 * The device by which a guest's kernel says that it has panicked, as QEMU has it on the ISA bus (docs/specs/pvpanic): one
 * port, whose reads tell which events are understood and whose writes are events. Linux's pvpanic driver finds it by ACPI.
 */
import { z } from 'zod';
import { PVPANIC_PORT } from '../memory/layout.js';
import type { Bus } from './bus.js';
import type { Surroundings } from './surroundings.js';

const PANICKED = 1 << 0;
/** The kernel has panicked as well, and another one, which was loaded for that, looks at what it has left. */
const CRASH_LOADED = 1 << 1;

/** Of a Date (ECMAScript, 21.4.1.1). */
const LATEST_MS = 8.64e15;

/** `panickedAt`: milliseconds since 1970 on the wall clock of the host where it did. */
export const pvpanicStateSchema = z.strictObject({ panickedAt: z.number().min(0).max(LATEST_MS) });
type PvpanicState = z.infer<typeof pvpanicStateSchema>;

export class Pvpanic {
  readonly #surroundings: Surroundings;
  #panickedAt: number | undefined;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  addTo(ports: Bus): void {
    ports.add(PVPANIC_PORT, 1, {
      accessBytes: 1,
      read: () => PANICKED | CRASH_LOADED,
      write: (_offset, _size, value) => {
        if ((value & (PANICKED | CRASH_LOADED)) !== 0) this.#panicked(this.#surroundings.wallClockMs());
      },
    });
  }

  /** Undefined unless the guest has panicked: a release without this device takes the state of all other guests. */
  save(): PvpanicState | undefined {
    return this.#panickedAt === undefined ? undefined : { panickedAt: this.#panickedAt };
  }

  restore(state: PvpanicState | undefined): void {
    if (state !== undefined) this.#panicked(state.panickedAt);
  }

  /** Told once. */
  #panicked(at: number): void {
    if (this.#panickedAt !== undefined) return;
    this.#panickedAt = at;
    this.#surroundings.panicked(at);
  }
}
