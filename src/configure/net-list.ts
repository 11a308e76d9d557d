import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { NetConfig } from './net-config.js';
import { textOrObject } from './device-setting.js';
import { netObjectSchema, parseNetSetting } from './net-setting.js';

/** With the disks' most and the other devices as many as there are virtio-mmio slots. */
const NETS_MAX = 3;
/** The prefix that KVM guests have by custom: locally administered, one receiver. */
const MAC_PREFIX = '52:54:00';

/**
 * The interfaces of a VM, in the order in which the guest finds them. Those without an id are net0, net1, ...; those
 * without a MAC address get a random one, here and once for the life of the VM.
 */
export const netsSchema = z
  .array(textOrObject(parseNetSetting, netObjectSchema), 'must be a list')
  .max(NETS_MAX, { error: `a VM has at most ${NETS_MAX} network interfaces` })
  .transform((settings, context) => {
    const nets = settings.map(({ id, mac, ...place }, i): NetConfig => ({
      id: id ?? `net${i}`,
      mac: mac ?? randomMac(),
      ...place,
    }));
    for (const key of ['id', 'mac', 'tap'] as const) {
      for (const [i, net] of nets.entries()) {
        if (net[key] === undefined || nets.findIndex((other) => other[key] === net[key]) === i) continue;
        context.addIssue({ code: 'custom', path: [i, key], message: `'${net[key]}' is another interface's` });
      }
    }
    return nets;
  });

function randomMac(): string {
  return [MAC_PREFIX, ...Array.from(randomBytes(3), (byte) => byte.toString(16).padStart(2, '0'))].join(':');
}
