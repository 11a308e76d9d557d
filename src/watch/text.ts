/** What happens, in a line for the operator's log. */
import type { Happening } from './events.js';

/** Undefined for what the log has nothing of: it is shown elsewhere, or comes too often. */
export function lineOf(happening: Happening): string | undefined {
  const line = wordsOf(happening);
  const { untold = 0 } = happening;
  return untold === 0 ? line : `${line} (${untold} more notices of this kind were left out)`;
}

function wordsOf(happening: Happening): string | undefined {
  switch (happening.type) {
    case 'refused':
      return `refused a VM from ${happening.peer}: ${happening.reasons.join('; ')}`;
    case 'not-begun':
      return `no VM came from ${happening.peer}: ${happening.reason}; still waiting for one`;
    case 'arrived':
      return `the VM has come from ${happening.peer} and ${happening.paused ? 'is paused' : 'runs'} here`;
    case 'whole':
      return `all of the VM has arrived from ${happening.peer}`;
    case 'interrupted':
      return happening.text;
    case 'met':
      return `the link to ${happening.peer} is back, and the rest of the memory moves on`;
    case 'guest-reset':
      return `the guest asked for a reset (${happening.source}): it starts again`;
    case 'guest-panicked':
      return `the kernel of the guest of ${happening.vm} has panicked: its console says why`;
    case 'migration-failed':
      return `the migration to ${happening.peer} failed, the VM is ${happening.state} here: ${happening.reason}`;
    case 'disks-back':
      return `${happening.vm} goes on with disks that another host has had`;
    case 'doubt-settled':
      return `${happening.vm} goes on here: ${happening.peer} has not run it`;
    case 'awaits':
    case 'not-awaited':
    case 'lost':
    case 'problem':
    case 'device':
      return happening.text;
    case 'state':
    case 'phase':
    case 'progress':
    case 'completed':
    case 'ended':
      return undefined;
  }
}
