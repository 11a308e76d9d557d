/** What the operator is told of a VM that is neither here nor there as it should be. */
import { describeError, factsOf, type Problem } from '../errors.js';

/** Why a VM stays paused: a migration failed, and another host had one of its disks. */
export function heldProblem(name: string, reason: unknown): Problem {
  const text =
    `${describeError(reason)}. ${name} stays paused: if the VM has run there, or something else has written to its disks, ` +
    'what it has of them in memory is no longer what is on them, and going on would destroy its file systems. See first ' +
    'that it runs on no other host and that nobody else has used its disks. If so, resume it; otherwise stop it by force, ' +
    'and boot it anew if it runs nowhere';
  return { text, facts: [...factsOf(reason), { kind: 'disks-held', name }] };
}

export function interruptedAtDestination(name: string, peer: string, pagesMissing: number, reason: string): string {
  const here =
    pagesMissing === 0
      ? `all of ${name} is here, and it runs on. ${peer} connects again as soon as it can, to learn that; if it has not known ` +
        'so far, and does not come soon, the guest stands still until it does'
      : `${name} runs on here, and waits only where it needs one of the ${pagesMissing} pages that are still there; ${peer} ` +
        'connects again as soon as it can';
  return `the link to ${peer} broke (${reason}). Nothing is lost: ${here}`;
}

export function interruptedAtSource(name: string, peer: string, reason: string): string {
  return (
    `the link to ${peer} broke behind the hand-over (${reason}). Nothing is lost: this end keeps what ${peer} does not have ` +
    `of ${name}, and looks for it until it answers`
  );
}

export function lostWhileArriving(
  name: string,
  peer: string | undefined,
  pagesMissing: number,
  reason: unknown,
): Problem {
  const text =
    `${name} is lost, start it again from its disks: the link to ${peer} was lost while ${pagesMissing} pages of the VM ` +
    `were still there (${describeError(reason)}). It is halted; what is here of it is kept until it is stopped by force`;
  return { text, facts: [{ kind: 'can-be-given-up', name }] };
}

/** What is said of a VM that may have got to the other host, or not. */
export function inDoubtProblem(name: string, peer: string, reason: string | undefined): Problem {
  const text =
    `the migration to ${peer} broke in the instant of the hand-over (${reason}). ${name} stands still here, whole, and ` +
    `only ${peer} knows whether it has run there. If the process there ended with "no VM came", or its host was down ` +
    'before it could, the VM can be resumed here, by force; otherwise stop it, by force';
  return { text, facts: [{ kind: 'in-doubt', name }] };
}

export function lostWhileLeaving(name: string, peer: string, reason: string | undefined): Problem {
  const text =
    `${name} is lost, start it again from its disks, unless ${peer} has all of it and runs it: the migration to there ` +
    `broke after the VM was handed over (${reason}). It does not run here; what ${peer} has not said to have of its ` +
    'memory is kept until it is stopped by force';
  return { text, facts: [{ kind: 'can-be-given-up', name }] };
}

/** `told`: the destination takes pages as lost, and lets whoever touches one find out. */
export function pagesLostAtSource(name: string, peer: string, pages: number, told: boolean): string {
  const lost = `${pages} pages of the memory of ${name} are lost to memory errors of this host`;
  if (told) return `${lost}; ${peer} has been told of them`;
  return `${lost}, and ${peer} cannot be told of them: what touches one there waits, and the VM never is whole`;
}
