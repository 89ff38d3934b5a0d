import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INTERNAL_KEY, startService, type TestService } from '../../support/service.js';
import { type CompiledService, compileService } from '../../support/service-process.js';
import { SECRET } from '../../support/tokens.js';

let service: TestService;
let compiled: CompiledService;
beforeAll(async () => {
  service = await startService();
  compiled = await compileService();
});
afterAll(async () => {
  await compiled.remove();
  await service.close();
});

/** The warnings of a start, in its order. */
async function warningsOf(env: Record<string, string>): Promise<string[]> {
  const started = await compiled.start({
    DATABASE_URL: service.databaseUrl,
    JWT_ACCESS_SECRET: SECRET,
    INTERNAL_API_KEY: INTERNAL_KEY,
    SWEEP_INTERVAL_SECONDS: '0',
    ...env,
  });
  await started.stop();
  return started
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { level: number | string; msg: string })
    .filter(({ level }) => level === 'warn' || level === 40)
    .map(({ msg }) => msg);
}

describe('A start where users may settle their own sessions', () => {
  it.each([
    ['in production, by default', { NODE_ENV: 'production' }, 1],
    ['in production, where anyone may', { NODE_ENV: 'production', METERING_CALLERS: 'any' }, 1],
    ['in production, where only services may', { NODE_ENV: 'production', METERING_CALLERS: 'service' }, 0],
    ['in development', { NODE_ENV: 'development' }, 0],
  ])('%s, is warned of in one line that names the setting: %j %i', async (_, env, count) => {
    const warnings = (await warningsOf(env)).filter((line) => line.includes('METERING_CALLERS'));
    expect(warnings).toHaveLength(count);
    for (const line of warnings) expect(line).toMatch(/users settle their own sessions/);
  });
});
