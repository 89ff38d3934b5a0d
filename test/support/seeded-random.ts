import { SeededRandom as Random } from '../../src/demo/seeded-random.js';

/** A failing test names its seed; `TEST_SEED=…` runs it again with the same choices. */
export class SeededRandom extends Random {
  constructor(seed: number = Number(process.env.TEST_SEED ?? (Date.now() % 2_147_483_647) + 1)) {
    super(seed);
  }
}
