import { CoreSchema1795219200000 } from './1795219200000-core-schema.js';

/** Every migration in its order. An explicit list: globs find nothing under the test runner. */
export const migrations = [CoreSchema1795219200000];
