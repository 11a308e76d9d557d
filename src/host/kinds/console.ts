import { z } from 'zod';
import { hostKind, type DeviceLines } from './kind.js';

/** The virtio console, which every machine has once; where its line ends is the console's business (src/console). */
export const consoleKind = hostKind({
  description: z.object({ kind: z.literal('console') }),
  open: (_: object) => ({
    describe: () => [{ kind: 'console' as const }],
    backends: ({ consoleFd }: DeviceLines) => [{ kind: 'console' as const, fd: consoleFd }],
    status: () => ({}),
    objections: async () => [],
    close() {},
  }),
  place: (_, __: object) => ({}),
});
