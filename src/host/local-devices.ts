import type { DeviceDescription } from './device-description.js';
import { HOST_KINDS, type DeviceConfigs, type DeviceOverrides } from './kinds/table.js';

export type { DeviceOverrides };

/**
 * The devices of a VM that comes, as this host opens them. Throws BAD_CONFIG for one that the VM does not have, and for one
 * of which nothing is said.
 */
export function localDevices(devices: readonly DeviceDescription[], places: DeviceOverrides): DeviceConfigs {
  const configs = Object.entries(HOST_KINDS).map(([name, kind]) =>
    // Each kind gets those of its own: the compiler cannot follow that.
    kind.place(devices.filter((device) => device.kind === name) as never, places),
  );
  return Object.assign({}, ...configs) as DeviceConfigs;
}
