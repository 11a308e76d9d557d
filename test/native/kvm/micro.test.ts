import { expect, it } from 'vitest';
import { rehearseMicro, REHEARSAL_MS } from '../../support/rehearse-micro.js';

it('every benchmark of a stage that needs KVM runs', { timeout: REHEARSAL_MS }, async () => {
  const { code, stages, output } = await rehearseMicro('test/micro/kvm/');
  expect({ code, output }).toMatchObject({ code: 0 });
  expect(stages.length).toBeGreaterThan(4);
});
