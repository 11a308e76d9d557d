import { z } from 'zod';
import { vmSettingsSchema } from './vm-config.js';

/** JSON Schema of a file for `run --config`: vm-settings.schema.json. */
export function vmSettingsJsonSchema(): object {
  return {
    ...z.toJSONSchema(vmSettingsSchema, { io: 'input' }),
    title: 'postcopy VM settings',
    description:
      'A VM for `postcopy run --config FILE.json`. Flags of the command line win over the file, and may give what is required.',
  };
}
