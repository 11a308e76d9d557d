/** What the operator is told of a VM that is neither here nor there as it should be. */
import { describeError } from '../errors.js';

/** Of one that stays paused because a migration failed and another host had one of its disks. */
export function heldText(name: string, reason: string): string {
  return (
    `${reason}. ${name} stays paused: if the VM has run there, or something else has written to its disks, what it has of ` +
    'them in memory is no longer what is on them, and going on would destroy its file systems. See first that it runs on ' +
    `no other host (postcopy status ${name}, there) and that nobody else has used its disks. If so, postcopy resume ` +
    `${name}; otherwise postcopy stop --force ${name}, and boot it anew if it runs nowhere`
  );
}

export function lostWhileArriving(peer: string | undefined, pagesMissing: number, reason: unknown): string {
  return (
    `the link to ${peer} was lost while ${pagesMissing} pages of the VM were still there (${describeError(reason)}). ` +
    'The VM is halted; its state here is kept until `postcopy stop --force`'
  );
}

/** Of one that may have got to the other host, or not. */
export function inDoubtText(name: string, peer: string, reason: string | undefined): string {
  return (
    `the migration to ${peer} broke in the instant of the hand-over (${reason}). ${name} stands still here, whole, and ` +
    `only ${peer} knows whether it has run there. If the receive there ended with "no VM came", or its host was down ` +
    `before it could, postcopy resume --force ${name} lets it go on here; otherwise postcopy stop --force ${name}`
  );
}

export function lostWhileLeaving(peer: string, reason: string | undefined): string {
  return (
    `the migration to ${peer} broke after the VM was handed over (${reason}). ` +
    `The VM does not run here. What ${peer} has not said to have of its memory is kept until \`postcopy stop --force\`; ` +
    'if the VM runs there, it lacks nothing of it'
  );
}
