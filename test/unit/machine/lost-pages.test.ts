import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { LostPages } from '../../../src/machine/lost-pages.js';
import type { NativeVcpu } from '../../../src/native.js';

class Vcpu {
  parked: boolean;
  resumed = 0;
  /** Looks that it takes to park. */
  slow: number;

  constructor(parked: boolean, slow = 0) {
    this.parked = parked;
    this.slow = slow;
  }

  requestPause(): void {
    if (this.slow-- <= 0) this.parked = true;
  }

  waitParked(): boolean {
    return this.parked;
  }

  resume(): void {
    this.parked = false;
    this.resumed++;
  }
}

function setUp(vcpus: Vcpu[], { takes = true, runs = (): boolean => true } = {}) {
  const told: [vcpu: number, page: number, parked: boolean][] = [];
  const tell = (vcpu: number, page: number) => {
    told.push([vcpu, page, vcpus.every(({ parked }) => parked)]);
    return takes;
  };
  return { told, lost: new LostPages({ vcpus: vcpus as unknown as NativeVcpu[], runs, tell }) };
}

describe('a vCPU that has come to a lost page', () => {
  it('is told of it when all stand still, and all go on', async () => {
    const vcpus = [new Vcpu(false, 3), new Vcpu(true)];
    const { told, lost } = setUp(vcpus);
    expect(await lost.met(1, 7)).toBe(true);
    expect(told).toEqual([[1, 7, true]]);
    expect(vcpus.map(({ resumed }) => resumed)).toEqual([1, 1]);
  });

  it('may say so before it has parked', async () => {
    const vcpu = new Vcpu(false);
    const { told, lost } = setUp([vcpu]);
    const met = lost.met(0, 7);
    await delay(5);
    expect(told).toEqual([]);
    vcpu.parked = true;
    expect(await met).toBe(true);
    expect(told).toEqual([[0, 7, true]]);
  });

  it('stands still for good if the guest cannot be told', async () => {
    const vcpus = [new Vcpu(true), new Vcpu(false)];
    const { lost } = setUp(vcpus, { takes: false });
    expect(await lost.met(0, 7)).toBe(false);
    expect(vcpus.map(({ resumed }) => resumed)).toEqual([0, 0]);
  });

  it('is not told what another has led it away from: each check is of all vCPUs', async () => {
    const vcpus = [new Vcpu(true), new Vcpu(true)];
    const { told, lost } = setUp(vcpus);
    expect(await Promise.all([lost.met(0, 7), lost.met(1, 8)])).toEqual([true, true]);
    expect(told).toEqual([[0, 7, true]]);
  });

  it('of a machine that is to stand still is left to what comes to it when it goes on', async () => {
    let looks = 0;
    const vcpus = [new Vcpu(true), new Vcpu(false, 10)];
    const { told, lost } = setUp(vcpus, { runs: () => looks++ < 2 });
    expect(await lost.met(0, 7)).toBe(true);
    expect(told).toEqual([]);
    expect(vcpus[0]!.resumed).toBe(0);
  });
});

it('each page is counted once', () => {
  const { lost } = setUp([]);
  expect([lost.add(3), lost.add(3), lost.add(4), lost.count]).toEqual([true, false, true, 2]);
});
