import { Baseline1796688000000 } from './1796688000000-baseline.js';

/** Every migration in its order. An explicit list: globs find nothing under the test runner. */
export const migrations = [Baseline1796688000000];
