import { z } from 'zod';

/** Values of hardware registers in saved state, which comes from the network. */
export const byteSchema = z.number().int().min(0).max(0xff);
export const wordSchema = z.number().int().min(0).max(0xffff);
export const doubleWordSchema = z.number().int().min(0).max(0xffffffff);
