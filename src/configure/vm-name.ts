import { PostcopyError } from '../errors.js';

/** Names become file names in the runtime directory, so they hold no separator and do not begin with a dot. */
export const VM_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export const VM_NAME_RULE =
  'use 1 to 64 letters, digits, dots, hyphens and underscores, beginning with a letter or digit';

export function isVmName(text: string): boolean {
  return VM_NAME.test(text);
}

/** Throws BAD_CONFIG. */
export function checkVmName(text: string): string {
  if (!isVmName(text)) throw new PostcopyError('BAD_CONFIG', `'${text}' is no name for a VM: ${VM_NAME_RULE}`);
  return text;
}
