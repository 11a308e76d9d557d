/** What the settings of disks and network interfaces have in common. */
import { z } from 'zod';

/** Names a device among its kind. */
export const DEVICE_ID = /^[A-Za-z0-9._-]{1,20}$/;

export const deviceIdSchema = z
  .string('must be text')
  .regex(DEVICE_ID, { error: 'use 1 to 20 letters, digits, dots, hyphens and underscores' });

/** Text in the form of a flag, which `parse` makes an object of, or an object of the same fields. */
export function textOrObject<Setting, Schema extends z.ZodType>(parse: (text: string) => Setting, object: Schema) {
  return z.preprocess((value, context) => {
    if (typeof value !== 'string') return value;
    try {
      return parse(value);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
      return z.NEVER;
    }
  }, object) as unknown as z.ZodType<Setting, string | z.input<Schema>>;
}
