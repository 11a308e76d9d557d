import { describe, expect, it } from 'vitest';
import { ADVICE, advised } from '../../../src/cli/advice.js';
import { createProgram } from '../../../src/cli/program.js';
import type { Fact } from '../../../src/errors.js';
import { cliWords } from '../../support/cli-words.js';
import { FakeOutput } from './fake-output.js';

/** One of each kind. */
const FACTS: { [Kind in Fact['kind']]: Extract<Fact, { kind: Kind }> } = {
  'no-name': { kind: 'no-name' },
  'no-kernel': { kind: 'no-kernel' },
  'no-terminal': { kind: 'no-terminal', port: 'console' },
  'memory-short': { kind: 'memory-short' },
  'cpu-above': { kind: 'cpu-above', highest: 'x86-64-v3' },
  'kernel-for-kvm': { kind: 'kernel-for-kvm' },
  'disk-missing': { kind: 'disk-missing' },
  'disk-used': { kind: 'disk-used', vm: 'db' },
  'disk-differs': { kind: 'disk-differs', id: 'root' },
  'disk-unproven': { kind: 'disk-unproven', id: 'root' },
  'disk-stopped': { kind: 'disk-stopped', name: 'web' },
  'disk-unplaced': { kind: 'disk-unplaced', id: 'root' },
  'net-unplaced': { kind: 'net-unplaced', id: 'net0' },
  'host-unfit': { kind: 'host-unfit' },
  'port-taken': { kind: 'port-taken' },
  'nobody-waits': { kind: 'nobody-waits' },
  unsecured: { kind: 'unsecured' },
  'key-wanted': { kind: 'key-wanted' },
  'key-refused': { kind: 'key-refused' },
  'no-tls': { kind: 'no-tls' },
  'still-arriving': { kind: 'still-arriving' },
  'no-such-vm': { kind: 'no-such-vm' },
  'can-be-cut': { kind: 'can-be-cut', name: 'web' },
  'can-be-given-up': { kind: 'can-be-given-up', name: 'web' },
  'no-reaction': { kind: 'no-reaction', name: 'web' },
  'disks-held': { kind: 'disks-held', name: 'web' },
  'in-doubt': { kind: 'in-doubt', name: 'web' },
};

const adviceOn = (fact: Fact): string => advised('', [fact]).replace(/^\. /, '');

describe.each(Object.values(FACTS))('advice on $kind', (fact) => {
  const advice = adviceOn(fact);

  it('names an option or a command, and all that the fact says', () => {
    expect(cliWords(advice)).not.toEqual([]);
    const { kind: _, ...values } = fact as Fact & Record<string, string>;
    for (const value of Object.values(values)) expect(advice).toContain(value);
    expect(advice).not.toMatch(/[{}]|undefined/);
  });

  it('names no option that the program does not have', () => {
    const program = createProgram([], new FakeOutput(), () => {});
    const known = [program, ...program.commands].flatMap(({ options }) => options.map(({ long }) => long));
    for (const [option] of advice.matchAll(/--[a-z-]+/g)) expect(known).toContain(option);
  });

  it('names no command that the program does not have', () => {
    const program = createProgram([], new FakeOutput(), () => {});
    const known = program.commands.map((command) => command.name());
    for (const [, command] of advice.matchAll(/postcopy ([a-z]+)/g)) expect(known).toContain(command);
  });
});

it('has advice on nothing else', () => {
  expect(Object.keys(ADVICE).sort()).toEqual(Object.keys(FACTS).sort());
});

it('stands behind the message, each piece once', () => {
  expect(advised('it is not there')).toBe('it is not there');
  const facts = [FACTS['no-name'], FACTS['no-kernel'], FACTS['no-name']];
  expect(advised('two are missing', facts)).toBe('two are missing. --name NAME names it. --kernel FILE says which');
  expect(advised('db has it', [FACTS['disk-used']])).toBe('db has it. `postcopy stop db` stops it');
});

it.each([
  { kind: 'of-tomorrow', name: 'web' },
  { kind: 'toString' },
  { kind: 'disk-used' },
  { kind: 'disk-used', vm: 7 },
])('nothing is added for what another version says: %j', (fact) => {
  expect(advised('as it is', [fact as unknown as Fact])).toBe('as it is');
});
