import { z } from 'zod';
import { macSchema, type NetConfig, type NetPlace } from '../../configure/net.js';
import { HostNets } from '../host-nets.js';
import { hostKind } from './kind.js';
import { requireKnown, requirePlace } from './places.js';

/** Network interfaces. */
export const netKind = hostKind({
  description: z.object({
    kind: z.literal('net'),
    id: z.string().max(20),
    mac: macSchema,
    /** As the guest was told of it, 0 if it was not. */
    mtu: z.number().int().min(0).max(65535),
  }),

  open({ nets: configs }: { nets: readonly NetConfig[] }) {
    const nets = HostNets.open(configs);
    return {
      nets,
      describe: () => nets.describe().map((net) => ({ kind: 'net', ...net })),
      backends: () => nets.open.map(({ mac, mtu, tap: { handle } }) => ({ kind: 'net', mac, mtu, handle })),
      status: () => ({ nets: nets.status() }),
      objections: async () => [],
      close: () => nets.close(),
    };
  },

  place(devices, { nets = [] }: { nets?: readonly NetPlace[] }) {
    requireKnown('network interface', nets, devices);
    return {
      nets: devices.map(({ id, mac, mtu }) => {
        return { ...requirePlace(nets, `interface ${id}`, { kind: 'net-unplaced', id }), mac, mtu };
      }),
    };
  },
});
