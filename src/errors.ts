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
  | 'MIGRATION_FAILED' // before COMMIT, or given back behind it: the VM runs on at the source
  | 'LINK_LOST' // failed after COMMIT: the VM is at the destination, short of pages
  | 'GUEST_FAILED' // triple fault, internal error: the guest cannot go on
  | 'NO_REACTION' // the guest did not react to its power button in time
  | 'INTERNAL';

/**
 * What a message is about. Messages say what to do in words that fit whoever asked, a program or a person; who has words of
 * its own for it finds here what it needs for them: the command line names its options and commands (cli/advice.ts).
 */
export type Fact =
  | { kind: 'no-name' } // the settings of a VM lack its name
  | { kind: 'no-kernel' } // and here its kernel
  | { kind: 'no-terminal'; port: 'serial' | 'console' } // a process in the background was to use one
  | { kind: 'memory-short' } // for the RAM of a guest
  | { kind: 'cpu-above'; highest: string } // that of the host, which can give a guest `highest`
  | { kind: 'kernel-for-kvm' } // and not for a machine of threads
  | { kind: 'disk-missing' } // there is no such file
  | { kind: 'disk-used'; vm: string } // by that VM of this host
  | { kind: 'disk-differs'; id: string } // it is not the one that the VM has where it comes from
  | { kind: 'disk-unproven'; id: string } // nothing shows that it is the one that the VM has
  | { kind: 'disk-stopped'; name: string } // the guest, until somebody has seen to the storage
  | { kind: 'disk-unplaced'; id: string } // nobody said what it is on this host
  | { kind: 'net-unplaced'; id: string }
  | { kind: 'host-unfit' } // KVM or userfaultfd cannot be used
  | { kind: 'port-taken' }
  | { kind: 'nobody-waits' } // for a VM, at the address given
  | { kind: 'unsecured' } // what leaves this host, or comes to it
  | { kind: 'key-wanted' } // at the address given
  | { kind: 'key-refused' } // there: it is another one
  | { kind: 'no-tls' } // there, or nothing of ours
  | { kind: 'still-arriving' } // and is to be moved on
  | { kind: 'no-such-vm' }
  | { kind: 'can-be-cut'; name: string } // the power of a VM whose guest cannot react
  | { kind: 'can-be-given-up'; name: string } // what is here of a VM
  | { kind: 'no-reaction'; name: string } // of a guest to its power button
  | { kind: 'disks-held'; name: string } // by another host, and the VM is paused
  | { kind: 'in-doubt'; name: string }; // whether the VM has run on the other host

/** What is wrong, where it is not an error that is thrown. */
export interface Problem {
  text: string;
  facts: readonly Fact[];
}

export class PostcopyError extends Error {
  readonly code: ErrorCode;
  readonly facts: readonly Fact[];

  constructor(code: ErrorCode, message: string, cause?: unknown, facts: readonly Fact[] = []) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'PostcopyError';
    this.code = code;
    this.facts = facts;
  }
}

/** The message of anything thrown, with the messages of its causes behind it. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message} (${describeError(error.cause)})`;
}

/** What is known of anything thrown, and of its causes. */
export function factsOf(error: unknown): Fact[] {
  if (!(error instanceof Error)) return [];
  return [...(error instanceof PostcopyError ? error.facts : []), ...factsOf(error.cause)];
}
