import { z } from 'zod';
import { hostKind } from './kind.js';

/** A device that every machine has once, and that needs nothing of its host. */
export function plain<const Name extends string>(kind: Name) {
  return hostKind({
    description: z.object({ kind: z.literal(kind) }),
    open: (_: object) => ({
      describe: () => [{ kind }],
      backends: () => [{ kind }],
      status: () => ({}),
      objections: async () => [],
      close() {},
    }),
    place: (_, __: object) => ({}),
  });
}
