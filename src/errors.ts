/**
 * Errors a caller can act on. `code` is stable and documented in src/manual/postcopy.1.md; `message` says what failed,
 * where, and what to do; the lower-level cause (often a system call's error with errno) is chained in `cause`.
 */
export type ErrorCode =
  | 'BAD_CONFIG' // an option or configuration file that cannot be used as given
  | 'BAD_KERNEL' // the boot files cannot be loaded
  | 'HOST_LACKS' // /dev/kvm, userfaultfd, memory, a CPU feature: this host cannot do it
  | 'NAME_IN_USE' // another VM process on this host has the name
  | 'NO_SUCH_VM' // no VM process answers under this name
  | 'ADDRESS_IN_USE' // the port to listen on is taken
  | 'DISK_IN_USE' // another VM, here or on another host, has a disk
  | 'UNREACHABLE' // the other host does not answer
  | 'BAD_PEER' // the other end is no postcopy, or another version, or broke the protocol
  | 'REFUSED' // the destination refuses the VM, and says why
  | 'WRONG_STATE' // not possible in the VM's present state
  | 'MIGRATION_FAILED' // failed before COMMIT: the VM runs on at the source
  | 'LINK_LOST' // failed after COMMIT: the VM is at the destination, short of pages
  | 'GUEST_FAILED' // triple fault, internal error: the guest cannot go on
  | 'NO_REACTION' // the guest did not react to its power button in time
  | 'INTERNAL';

export class PostcopyError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'PostcopyError';
    this.code = code;
  }
}

/** The message of anything thrown, with the messages of its causes behind it. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message} (${describeError(error.cause)})`;
}
