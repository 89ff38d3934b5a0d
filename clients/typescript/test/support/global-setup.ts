import type { TestProject } from 'vitest/node';
import { startProvider } from '../../../testing/provider.js';
import { startService } from '../../../testing/service.js';
import { importPrices, type World } from './world.js';

declare module 'vitest' {
  export interface ProvidedContext {
    world: World;
  }
}

/** One service and one provider for all tests; those that stop or restart the service start their own. */
export default async function setup(project: TestProject) {
  const provider = await startProvider();
  const service = await startService({ env: { UNPRICED_MODEL_POLICY: 'reject' } });
  const { url, internalApiKey, adminToken, jwtSecret } = service;
  const world = { url, internalApiKey, adminToken, jwtSecret, provider: provider.url };
  await importPrices(world);
  project.provide('world', world);
  return async () => {
    await service.stop();
    await provider.stop();
  };
}
