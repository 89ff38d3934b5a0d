import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
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

describe('a start with EMBEDDED_POSTGRES_DIR', () => {
  it('prints a command whose token the service accepts, and an audit that names another database is no success', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'accounting-directory-'));
    const setting = { EMBEDDED_POSTGRES_DIR: join(directory, 'postgres') };
    const service = await compiled.start({ ...setting, LOG_LEVEL: 'warn' });
    const line = /Token +EMBEDDED_POSTGRES_DIR='([^']+)' npm run -s token -- (.+)/.exec(service.output());
    const [, named = '', args = ''] = line ?? [];
    const token = (env: Record<string, string>) => compiled.run(env, 'src/cli/token.js', ...args.split(' '));
    const statusOf = async (env: Record<string, string>) =>
      (
        await fetch(`${service.url}/api/credits/balance`, {
          headers: { authorization: `Bearer ${(await token(env)).output.trim()}` },
        })
      ).status;
    expect(await statusOf({ EMBEDDED_POSTGRES_DIR: named })).toBe(200);
    expect(await statusOf({ EMBEDDED_POSTGRES_DIR: join(directory, 'other', 'postgres') })).toBe(401);
    const audit = (env: Record<string, string>) => compiled.run(env, 'src/cli/audit.js');
    expect(await audit(setting)).toMatchObject({
      exitCode: 0,
      output: expect.stringContaining('1 user checked'),
    });
    expect(await service.stop()).toBe(0);
    // The server of the tests has a database of this service without accounts.
    const { exitCode, output } = await audit({ DATABASE_URL: direct.databaseUrl, JWT_ACCESS_SECRET: SECRET });
    expect([exitCode, output]).toEqual([
      2,
      expect.stringMatching(/^There are no accounts in PostgreSQL at \S+: nothing was checked/),
    ]);
    await rm(directory, { recursive: true, force: true });
  });
});
