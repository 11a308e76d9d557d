/**
 * What the command line adds to a message: the option or the command that does what the message advises. `{name}` is the
 * member `name` of the fact.
 */
import type { Fact } from '../errors.js';

export const ADVICE: Record<Fact['kind'], string> = {
  'no-name': '--name NAME names it',
  'no-kernel': '--kernel FILE says which',
  'no-terminal': '--{port} says where it goes, and without --detach there is a terminal',
  'memory-short': '--memory SIZE says how much',
  'cpu-above': '--cpu {highest} boots it here',
  'kernel-for-kvm': '--machine kvm runs other kernels, and `postcopy demo` boots its own',
  'disk-missing': '--disk says where it is',
  'disk-used': '`postcopy stop {vm}` stops it',
  'disk-differs': 'receive --disk id={id},path=FILE gives it',
  'disk-unproven': 'receive --disk id={id},path=FILE,unproven takes it all the same',
  'disk-stopped':
    '`postcopy resume {name}` resumes it, `postcopy migrate {name} HOST:PORT` moves it as it is, and ' +
    '`postcopy stop --force {name}` stops it',
  'disk-unplaced': 'receive --disk id={id},path=FILE says it',
  'net-unplaced': 'receive --net id={id}[,tap=NAME][,bridge=NAME] says it',
  'host-unfit': 'See `postcopy doctor` for how to get it',
  'port-taken': '--listen HOST:PORT says which',
  'nobody-waits': 'Is `postcopy receive` running there?',
  unsecured:
    '--key KEY gives the key that `receive` has printed there, --key-file FILE or --tls-dir DIR what both ends have, ' +
    'and --plain at both ends sends it in the clear, to and from anybody',
  'key-wanted': '`postcopy receive` has printed it there: --key KEY, or --key-file FILE or --tls-dir DIR, gives it',
  'key-refused': '`postcopy receive` there prints another key each time: give the one that it printed last',
  'no-tls': 'If `postcopy receive` waits there with --plain, or only for its own host, --plain is needed here as well',
  'still-arriving': '`postcopy migrate --wait` waits for it',
  'no-such-vm': '`postcopy list` shows those that do',
  'can-be-cut': '`postcopy stop --force {name}` cuts it',
  'can-be-given-up': '`postcopy stop --force {name}` gives it up',
  'no-reaction': '`postcopy stop --timeout SECONDS {name}` waits longer, `postcopy stop --force {name}` cuts its power',
  'disks-held':
    '`postcopy status {name}` there says whether it runs; here `postcopy resume {name}` resumes it, and ' +
    '`postcopy stop --force {name}` stops it',
  'in-doubt': '`postcopy resume --force {name}` resumes it, and `postcopy stop --force {name}` stops it',
};

/** The message with what to type behind it. */
export function advised(message: string, facts: readonly Fact[] = []): string {
  const advice = facts.map(adviceOn).filter((text) => text !== undefined);
  return [message, ...new Set(advice)].join('. ');
}

/** Undefined for what another version says, and this one does not understand. */
function adviceOn(fact: Fact): string | undefined {
  if (!Object.hasOwn(ADVICE, fact.kind)) return undefined;
  const values: Record<string, unknown> = fact;
  const text = ADVICE[fact.kind].replaceAll(/\{(\w+)\}/g, (place, key: string) => {
    const value = values[key];
    return typeof value === 'string' ? value : place;
  });
  return text.includes('{') ? undefined : text;
}
