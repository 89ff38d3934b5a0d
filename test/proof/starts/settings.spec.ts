import { randomBytes } from 'node:crypto';
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

describe('npm run token', () => {
  const token = (environment: string) =>
    compiled.run(
      {
        NODE_ENV: environment,
        DATABASE_URL: direct.databaseUrl,
        JWT_ACCESS_SECRET: randomBytes(32).toString('hex'),
      },
      ...['src/cli/token.js', '--sub', 'alice', '--role', 'admin'],
    );

  it('prints a token in development, and refuses to in production', async () => {
    expect(await token('development')).toEqual({ exitCode: 0, output: expect.stringMatching(/^ey\S+\n$/) });
    const { exitCode, output } = await token('production');
    expect(exitCode).toBe(1);
    expect(output).toMatch(/^no token is created here in production\n/);
    expect(output).not.toMatch(/ey\w+\./);
  });
});
