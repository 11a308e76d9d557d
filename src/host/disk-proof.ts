/**
 * Whether a disk here is the one that a VM has which comes from another host: its guest would write what it has cached over
 * another one. Sizes are alike by chance, so two things are proof. The source still has its lock on the disk, so whoever
 * looks at the lock here must be told that it is taken: if it is free, this is another file, or locks do not reach from one
 * host to the other, and then nothing would keep two hosts from one disk. A block device, whose locks are each host's own,
 * is known by what sysfs says of it on every host.
 */
import type { Problem } from '../errors.js';
import { comparable } from './disk-identity.js';

export interface ProofFacts {
  id: string;
  /** On this host. */
  path: string;
  /** Whether its lock is taken; undefined if there can be none. */
  locked: boolean | undefined;
  /** disk-identity.ts: at the source, and here. */
  theirs: string | undefined;
  ours: string | undefined;
  blockDevice: boolean;
  /** The VM comes from a process of this host, where locks always work. */
  sameHost: boolean;
}

const ALL_THE_SAME = 'Whoever waits for the VM can say that it is the one all the same';

/** What stands against it; undefined for the VM's own disk. */
export function problemOfProof(facts: ProofFacts): Problem | undefined {
  const { id, path, theirs, ours } = facts;
  const known = theirs !== undefined && ours !== undefined && comparable(theirs, ours);
  if (known && theirs !== ours) {
    return problem(id, `disk ${id}: ${path} is the device ${ours} here, and it is ${theirs} at the source`);
  }
  if (facts.locked === true || (known && !facts.sameHost)) return undefined;
  return problem(id, `disk ${id}: ${path} ${whyUnproven(facts)}`);
}

function whyUnproven({ locked, blockDevice, sameHost }: ProofFacts): string {
  if (sameHost) return 'is another one than the disk that the VM has, as the lock that the source has is free on it';
  if (blockDevice) {
    return (
      'is not shown to be the device that the VM has: locks on devices do not reach other hosts, and one of the two hosts ' +
      `finds no WWN, device mapper UUID or serial number of it. ${ALL_THE_SAME}`
    );
  }
  const found =
    locked === undefined ? 'cannot be locked here' : 'is not locked here, where the source has a lock on it';
  return (
    `${found}: it is another file, or locks do not reach from one of the hosts to the other. Give the file that both hosts ` +
    `share, on a file system with locks across hosts (NFSv4, GFS2, CephFS, OCFS2). ${ALL_THE_SAME}`
  );
}

function problem(id: string, text: string): Problem {
  return {
    text,
    facts: [
      { kind: 'disk-differs', id },
      { kind: 'disk-unproven', id },
    ],
  };
}
