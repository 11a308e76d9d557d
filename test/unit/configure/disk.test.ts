import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  DISKS_MAX,
  disksSchema,
  parseDiskPlaces,
  parseDiskSetting,
  withDiskPathFrom,
} from '../../../src/configure/disk.js';
import { describeProblems } from '../../../src/configure/vm-config.js';

const BAD_CONFIG = expect.objectContaining({ code: 'BAD_CONFIG' });

describe('path=FILE[,readonly][,id=ID]', () => {
  it.each([
    ['path=a', { path: resolve('a'), readonly: false }],
    ['path=/a b,readonly', { path: '/a b', readonly: true }],
    ['id=root,path=/a', { path: '/a', readonly: false, id: 'root' }],
    ['readonly,path=/a,id=A.b_c-9', { path: '/a', readonly: true, id: 'A.b_c-9' }],
    ['path=/a,,b,id=x', { path: '/a,b', readonly: false, id: 'x' }],
    ['path=/a,,,id=x', { path: '/a,', readonly: false, id: 'x' }],
    ['path=/a=b,,,,c', { path: '/a=b,,c', readonly: false }],
    ['path=/a\nb', { path: '/a\nb', readonly: false }],
    ['path=/a,format=raw', { path: '/a', readonly: false, format: 'raw' }],
    ['path=/a,on-error=stop', { path: '/a', readonly: false, onError: 'stop' }],
    [`path=/a,id=${'x'.repeat(20)}`, { path: '/a', readonly: false, id: 'x'.repeat(20) }],
  ])('%j', (text, setting) => expect(parseDiskSetting(text)).toEqual(setting));

  it('begins relative paths where it is told', () => {
    expect(parseDiskSetting('path=a/b', '/base')).toEqual({ path: '/base/a/b', readonly: false });
  });

  it.each([
    ['', 'give path=FILE'],
    ['disk.img', 'give path=FILE'],
    ['path=', 'give path=FILE'],
    ['readonly', 'give path=FILE'],
    ['path=/a,', 'give path=FILE'],
    [',path=/a', 'give path=FILE'],
    ['path=/a,readonly=on', 'give path=FILE'],
    ['path=/a,unproven', 'give path=FILE'],
    ['path=/a,format=qcow2', "the format 'qcow2' is not understood, only raw is"],
    ['path=/a,on-error=ignore', 'on-error must be stop or report'],
    ['path=/a,b', 'a comma in a path as two'],
    ['path=/a,path=/b', 'path is given twice'],
    ['path=/a,readonly,readonly', 'readonly is given twice'],
    ['path=/a,id=', "the id ''"],
    ['path=/a,id=a/b', "the id 'a/b'"],
    [`path=/a,id=${'x'.repeat(21)}`, 'is not 1 to 20'],
    ['path=/a\0b', 'NUL'],
  ])('%j is refused', (text, why) => {
    expect(() => parseDiskSetting(text)).toThrow(BAD_CONFIG);
    expect(() => parseDiskSetting(text)).toThrow(`'${text}' is no disk setting: `);
    expect(() => parseDiskSetting(text)).toThrow(why);
  });
});

describe('where a disk is on the destination', () => {
  it('is named by its id', () => {
    expect(parseDiskPlaces([])).toEqual([]);
    expect(parseDiskPlaces(['id=root,path=/a', 'path=b,id=disk1'])).toEqual([
      { id: 'root', path: '/a' },
      { id: 'disk1', path: resolve('b') },
    ]);
    expect(parseDiskPlaces(['id=root,path=/a,unproven'])).toEqual([{ id: 'root', path: '/a', unproven: true }]);
  });

  it.each([
    [['path=/a'], 'say which disk of the VM it is'],
    [['id=x'], 'give id=ID,path=FILE[,unproven]'],
    [['id=x,path=/a,format=raw'], 'its format comes with the VM'],
    [['id=x,path=/a,readonly'], 'whether it is read-only comes with the VM'],
    [['id=x,path=/a,on-error=stop'], 'what its errors do comes with the VM'],
    [['id=x,path=/a', 'id=x,path=/b'], "'id=x,path=/b' is no disk setting: disk x has a place already"],
  ])('%j is refused', (texts, why) => {
    expect(() => parseDiskPlaces(texts)).toThrow(BAD_CONFIG);
    expect(() => parseDiskPlaces(texts)).toThrow(why);
  });
});

describe('the list', () => {
  const problems = (disks: unknown): string[] => {
    const result = disksSchema.safeParse(disks);
    if (result.success) throw new Error('it is right');
    return describeProblems(result.error);
  };

  it('takes text and objects, and names what has no name', () => {
    expect(disksSchema.parse(['path=/a', { path: '/b', readonly: true, id: 'data' }, { path: 'c' }])).toEqual([
      { id: 'disk0', path: '/a', readonly: false },
      { id: 'data', path: '/b', readonly: true },
      { id: 'disk2', path: resolve('c'), readonly: false },
    ]);
  });

  it.each([
    ['path=/a', 'must be a list'],
    [[1], /^0: /],
    [[null], /^0: /],
    [['x'], /^0: 'x' is no disk setting/],
    [[{ path: 1 }], '0.path: give the path of the image or block device'],
    [[{}], '0.path: give the path of the image or block device'],
    [[{ path: '' }], '0.path: is no path'],
    [[{ path: '/a', readonly: 'yes' }], '0.readonly: must be true or false'],
    [[{ path: '/a', id: 'a b' }], '0.id: use 1 to 20 letters, digits, dots, hyphens and underscores'],
    [[{ path: '/a', format: 'vdi' }], '0.format: must be raw: other formats are not understood'],
    [[{ path: '/a', unproven: true }], '0.unproven: there is no such setting'],
    [['path=/a,id=x', 'path=/b,id=x'], "1.id: 'x' is the id of another disk"],
    [['path=/a,id=disk1', 'path=/b'], "1.id: 'disk1' is the id of another disk"],
    [new Array<string>(DISKS_MAX + 1).fill('path=/a'), 'a VM has at most 10 disks'],
  ])('%j is one problem', (disks, line) => {
    expect(problems(disks)).toEqual([typeof line === 'string' ? line : expect.stringMatching(line)]);
  });

  it('is as long as it may be', () => {
    expect(disksSchema.parse(new Array<string>(DISKS_MAX).fill('path=/a'))).toHaveLength(10);
  });
});

it('paths of a configuration file begin at its directory', () => {
  expect(withDiskPathFrom('/base', 'path=a,,b,readonly')).toEqual({ path: '/base/a,b', readonly: true });
  expect(withDiskPathFrom('/base', { path: 'a', id: 'x' })).toEqual({ path: join('/base', 'a'), id: 'x' });
  expect(withDiskPathFrom('/base', { path: '/a' })).toEqual({ path: '/a' });
  for (const wrong of ['x', 1, null, undefined, {}, { path: 1 }, { path: '' }]) {
    expect(withDiskPathFrom('/base', wrong)).toBe(wrong);
  }
});
