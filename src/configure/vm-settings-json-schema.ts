import { z } from 'zod';
import { vmSettingsSchema } from './vm-config.js';

/** JSON Schema of a file for `run --config`: vm-settings.schema.json. */
export function vmSettingsJsonSchema(): object {
  return {
    ...z.toJSONSchema(vmSettingsSchema, { io: 'input' }),
    title: 'postcopy VM settings',
    description:
      'A VM, in a configuration file. What is given beside the file wins over it, and may be what is required.',
  };
}
