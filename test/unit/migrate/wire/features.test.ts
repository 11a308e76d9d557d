import { describe, expect, it } from 'vitest';
import { chooseFeatures, problemOfChoice } from '../../../../src/migrate/wire/features.js';
import { FEATURES } from '../../../../src/migrate/wire/protocol.js';

describe('the choice of the destination', () => {
  it.each([
    ['all that both have', ['a', 'b'], ['a', 'b'], ['a', 'b']],
    ['none that it does not know', ['a', 'x', 'y'], ['a', 'b'], ['a']],
    ['each once', ['a', 'a', 'b', 'a'], ['a', 'b'], ['a', 'b']],
    ['nothing where nothing is offered', [], ['a'], []],
    ['nothing where nothing is known', ['a'], [], []],
  ])('has %s', (_, offered, known, chosen) => {
    expect(chooseFeatures(offered, known)).toEqual(chosen);
  });

  it('is made among the features of this release', () => {
    expect(chooseFeatures(['no-such-feature', ...FEATURES])).toEqual(FEATURES);
  });
});

describe('the source', () => {
  it.each([
    ['all', ['a', 'b'], ['a', 'b']],
    ['some', ['a', 'b'], ['b']],
    ['none', ['a', 'b'], []],
    ['one twice', ['a'], ['a', 'a']],
  ])('takes a choice of %s that it has offered', (_, offered, chosen) => {
    expect(problemOfChoice(offered, chosen)).toBeUndefined();
  });

  it.each([
    [['a'], ['b']],
    [['a'], ['a', 'b']],
    [[], ['b']],
  ])('that offers %j does not take %j', (offered, chosen) => {
    expect(problemOfChoice(offered, chosen)).toMatchObject({
      code: 'BAD_PEER',
      message: 'the destination chose features that were not offered: b',
    });
  });
});
