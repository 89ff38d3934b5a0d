import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startService, type TestService } from '../../support/service.js';
import { type CompiledService, compileService } from '../../support/service-process.js';
import { SECRET } from '../../support/tokens.js';

let direct: TestService;
let compiled: CompiledService;
beforeAll(async () => {
  direct = await startService();
  compiled = await compileService();
});
afterAll(async () => {
  await compiled.remove();
  await direct.close();
});

/** The version that a started process answers, in /health and in the OpenAPI document. */
async function versionsOf(env: Record<string, string>): Promise<unknown[]> {
  const service = await compiled.start({ DATABASE_URL: direct.databaseUrl, LOG_LEVEL: 'warn', ...env });
  const read = async (path: string) => (await fetch(service.url + path)).json();
  const { version } = (await read('/health')) as { version: string };
  const { info } = (await read('/api/docs-json')) as { info: { version: string } };
  expect(await service.stop()).toBe(0);
  return [version, info.version];
}

describe('a file .env in the working directory', () => {
  const file = () => join(compiled.directory, '.env');

  it('sets what the environment leaves out, and nothing else', async () => {
    await writeFile(file(), `\uFEFFJWT_ACCESS_SECRET=${SECRET}\nVERSION=2.0.0-of-the-file\n`);
    expect(await versionsOf({})).toEqual(['2.0.0-of-the-file', '2.0.0-of-the-file']);
    expect(await versionsOf({ VERSION: '3.0.0' })).toEqual(['3.0.0', '3.0.0']);
  });

  it('is not needed: the version is then that of the release', async () => {
    await rm(file());
    const release = direct.config.version;
    expect(await versionsOf({ JWT_ACCESS_SECRET: SECRET })).toEqual([release, release]);
  });
});
