import { expect, it } from 'vitest';
import { parseSerialSetting } from '../../../src/configure/serial-setting.js';
import { checkVmName, isVmName } from '../../../src/configure/vm-name.js';

it.each([
  ['stdio', { kind: 'stdio' }],
  ['null', { kind: 'null' }],
  ['file:/var/log/vm1', { kind: 'file', path: '/var/log/vm1' }],
  ['file:a:b', { kind: 'file', path: '/base/a:b' }],
  ['unix:run/vm1', { kind: 'unix', path: '/base/run/vm1' }],
  [`unix:/${'x'.repeat(106)}`, { kind: 'unix', path: `/${'x'.repeat(106)}` }],
])('takes %s', (text, setting) => expect(parseSerialSetting(text, '/base')).toEqual(setting));

it.each([
  ['', 'give stdio'],
  ['STDIO', 'give stdio'],
  ['file:', 'give stdio'],
  ['unix:', 'give stdio'],
  ['tcp:1', 'give stdio'],
  ['/dev/null', 'give stdio'],
  ['file:a\0b', 'NUL'],
  [`unix:/${'x'.repeat(107)}`, 'at most 107 bytes'],
  [`unix:/${'é'.repeat(54)}`, 'at most 107 bytes'],
])('refuses %j', (text, why) => expect(() => parseSerialSetting(text, '/base')).toThrow(why));

it.each(['a', 'vm1', '9', 'A.b_c-d', 'x'.repeat(64)])('name %s is one', (name) => expect(checkVmName(name)).toBe(name));
it.each(['', '.', '..', '.hidden', '-x', '_x', 'a/b', 'a b', 'é', 'a\n', 'x'.repeat(65)])('name %j is none', (name) => {
  expect(isVmName(name)).toBe(false);
  expect(() => checkVmName(name)).toThrow('is no name for a VM');
});
