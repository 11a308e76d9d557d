import { describe, expect, it } from 'vitest';
import { problemOfProof, type ProofFacts } from '../../../src/host/disk-proof.js';

const file: ProofFacts = {
  id: 'root',
  path: '/srv/root.img',
  locked: true,
  theirs: undefined,
  ours: undefined,
  blockDevice: false,
  sameHost: false,
};
const device: ProofFacts = {
  ...file,
  path: '/dev/sdb',
  locked: false,
  theirs: 'wwid:naa.1',
  ours: 'wwid:naa.1',
  blockDevice: true,
};

describe('a disk is that of the VM', () => {
  it.each<[string, ProofFacts]>([
    ['whose lock the source has, on another host', file],
    ['whose lock the source has, on this host', { ...file, sameHost: true }],
    ['that is the same device on both hosts', device],
    ['that one host knows by its multipath, whose lock is taken', { ...device, theirs: 'dm:LVM-1', locked: true }],
    ['of a source that does not say what device it is, on this host', { ...device, theirs: undefined, locked: true }],
  ])('%s', (_, facts) => expect(problemOfProof(facts)).toBeUndefined());
});

describe('a disk is not shown to be that of the VM', () => {
  it.each<[string, ProofFacts, RegExp]>([
    [
      'a copy on this host',
      { ...file, locked: false, sameHost: true },
      /^disk root: \/srv\/root.img is another one than/,
    ],
    [
      'a copy, or no locks',
      { ...file, locked: false },
      /is not locked here, .* another file, or locks do not reach .*NFSv4/,
    ],
    [
      'a file that cannot be locked',
      { ...file, locked: undefined },
      /cannot be locked here: it is another file, or locks/,
    ],
    [
      'another device',
      { ...device, ours: 'wwid:naa.2' },
      /is the device wwid:naa.2 here, and it is wwid:naa.1 at the source/,
    ],
    ['another device, which somebody else uses', { ...device, ours: 'wwid:naa.2', locked: true }, /is the device wwid/],
    ['a device without a name at the source', { ...device, theirs: undefined }, /finds no WWN, .* all the same$/],
    [
      'devices with names of two kinds',
      { ...device, ours: 'serial:1' },
      /is not shown to be the device that the VM has/,
    ],
    [
      'the namesake of a device of this host',
      { ...device, sameHost: true },
      /is another one than the disk that the VM/,
    ],
  ])('%s', (_, facts, text) => {
    expect(problemOfProof(facts)).toEqual({
      text: expect.stringMatching(text),
      facts: [
        { kind: 'disk-differs', id: 'root' },
        { kind: 'disk-unproven', id: 'root' },
      ],
    });
  });
});
