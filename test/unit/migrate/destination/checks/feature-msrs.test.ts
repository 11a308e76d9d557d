import { describe, expect, it } from 'vitest';
import { featureMsrObjections } from '../../../../../src/migrate/destination/checks/feature-msrs.js';
import { msrEntries } from '../../../machine/fake-vcpu.js';

const ARCH_CAPABILITIES = 0x10a;
const told = (value: bigint) => msrEntries([0x8b, 1n], [ARCH_CAPABILITIES, value]);
const objections = (guest: bigint, host: bigint) => featureMsrObjections(told(guest), told(host));
/** RDCL_NO, IBRS_ALL, MDS_NO. */
const SOUND = 0x23n;
const [RSBA, RRSBA, TAA_NO, ITS_NO] = [1n << 2n, 1n << 19n, 1n << 8n, 1n << 62n];

describe('featureMsrObjections', () => {
  it('has none where the host is as sound as the guest was told, or sounder', () => {
    expect(objections(SOUND, SOUND)).toEqual([]);
    expect(objections(SOUND, SOUND | TAA_NO)).toEqual([]);
    expect(objections(SOUND | RSBA, SOUND)).toEqual([]);
  });

  it('has none against a guest that was told nothing, or comes from a release that does not say', () => {
    expect(featureMsrObjections(msrEntries([0x8b, 1n]), told(SOUND))).toEqual([]);
    expect(featureMsrObjections(new Uint8Array(0), told(0n))).toEqual([]);
  });

  it('names each flaw that the host has and the guest takes for mended', () => {
    expect(objections(SOUND | TAA_NO | ITS_NO | (1n << 40n), 0x2n)).toEqual([
      expect.stringMatching(
        /IA32_ARCH_CAPABILITIES \(MSR 0x10a\) this host's CPU lacks RDCL_NO, MDS_NO, TAA_NO, bit 40, ITS_NO, which the guest .*: give both/,
      ),
    ]);
    expect(featureMsrObjections(told(SOUND), new Uint8Array(0))).toHaveLength(1);
  });

  it('names a weakness of which the guest was not told', () => {
    expect(objections(SOUND, SOUND | RSBA | RRSBA)).toEqual([
      expect.stringContaining("this host's CPU has RSBA, RRSBA, of which the guest was not told"),
    ]);
  });
});
