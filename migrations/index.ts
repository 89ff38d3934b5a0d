import { CoreSchema1795219200000 } from './1795219200000-core-schema.js';
import { KeysAndCharges1795305600000 } from './1795305600000-keys-and-charges.js';
import { GatewayKeys1795305800000 } from './1795305800000-gateway-keys.js';

/** Every migration in its order. An explicit list: globs find nothing under the test runner. */
export const migrations = [CoreSchema1795219200000, KeysAndCharges1795305600000, GatewayKeys1795305800000];
