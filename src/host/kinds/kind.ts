/**
 * A kind of virtio device, as its host knows it. A new one brings:
 *
 *   devices/virtio/KIND/            its model
 *   a row in host/kinds/table.ts    `plain('KIND')` if the model needs nothing of its host; else host/kinds/KIND.ts,
 *                                   which is a HostKind: this file says what belongs to it
 *   a row in machine/models.ts      from what was opened to the model
 *
 * and, if a user has a say in it, configure/KIND.ts with a field of the settings (configure/vm-config.ts). The compiler
 * asks for what is missing. Two tables, because two threads have one each: the main thread opens what a device needs and
 * tells the other host of it, the device worker builds the models and loads no code of the host's.
 *
 * Two limits. There are as many devices as slots, and the most that a user can have fill them all (VIRTIO_GSIS). And a host
 * whose release lacks the kind refuses a VM that has it: devices of a VM are the same at both ends.
 */
import type { z } from 'zod';
import type { Problem } from '../../errors.js';
import type { WhoUses } from '../disk-errors.js';

/** As HELLO tells of a device; without what only its host knows. */
type DescriptionSchema = z.ZodObject<{ kind: z.ZodLiteral<string> }>;

/** What a machine has for its devices. */
export interface DeviceLines {
  /** The device's end of a Unix socket to the virtio console, the device worker's own. */
  consoleFd: number;
}

/** What opening asks of who is above. */
interface Surroundings {
  whoUses: WhoUses;
}

/** All devices of one kind that a VM has, open on this host; in the order of the configuration. */
export interface OpenDevices<Description extends { kind: string }> {
  describe(): Description[];
  /** As the device worker gets them: descriptors, handles, plain values. */
  backends(lines: DeviceLines): { kind: Description['kind'] }[];
  /** The rows of `postcopy status`, by their field in it. */
  status(): object;
  /**
   * Why those here cannot take the place of those of a VM that comes, which are as many; asked while the source still has
   * them. `sameHost`: it comes from a process of this host. Rejects with what `signal` was aborted with.
   */
  objections(wanted: readonly Description[], sameHost: boolean, signal: AbortSignal): Promise<Problem[]>;
  /** After the device worker has let go of them. */
  close(): void;
}

export interface HostKind<Schema extends DescriptionSchema, Config, Places, Open extends OpenDevices<z.infer<Schema>>> {
  readonly description: Schema;
  /** Throws PostcopyError with nothing left open. `config`: its fields of the settings. */
  open(config: Config, surroundings: Surroundings): Open;
  /**
   * The settings on this host of the devices of a VM that comes. Throws BAD_CONFIG where `places` names another device, or
   * says nothing of one.
   */
  place(devices: readonly z.infer<Schema>[], places: Places): Config;
}

/** Infers the types of a kind, and checks that it is whole. */
export function hostKind<Schema extends DescriptionSchema, Config, Places, Open extends OpenDevices<z.infer<Schema>>>(
  kind: HostKind<Schema, Config, Places, Open>,
): HostKind<Schema, Config, Places, Open> {
  return kind;
}
