import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startService, type TestService } from '../../support/service.js';
import { type CompiledService, compileService } from '../../support/service-process.js';
import { accessToken, SECRET } from '../../support/tokens.js';

/** A start loads 4 with the bundle, and 2,400 without it. */
const MOST_FILES = 40;

/** Notes every file that a process loads as a module, in the file that the variable OPENED names. */
const COUNTING = `
import { createRequire, register } from 'node:module';
import { appendFileSync } from 'node:fs';
const hooks = \`import { appendFileSync } from 'node:fs';
export const load = (url, context, next) => {
  if (url.startsWith('file:')) appendFileSync(process.env.OPENED, url + '\\\\n');
  return next(url, context);
};\`;
register('data:text/javascript,' + encodeURIComponent(hooks));
const { cache } = createRequire(import.meta.url);
process.on('exit', () => Object.keys(cache).forEach((file) => appendFileSync(process.env.OPENED, 'file://' + file + '\\n')));
`;

interface Document {
  paths: object;
  components: object;
}

let direct: TestService;
let compiled: CompiledService;
beforeAll(async () => {
  direct = await startService();
  compiled = await compileService();
  const { exitCode, output } = await compiled.run(
    {},
    join(process.cwd(), '.config/bundle.js'),
    compiled.directory,
  );
  expect(exitCode, output).toBe(0);
});
afterAll(async () => {
  await compiled?.remove();
  await direct?.close();
});

const environment = () => ({
  DATABASE_URL: direct.databaseUrl,
  JWT_ACCESS_SECRET: SECRET,
  LOG_LEVEL: 'warn',
});

describe('the service in one file', () => {
  it('serves the API that openapi.json describes', async () => {
    const service = await compiled.start(environment(), 'service.js');
    const authorization = `Bearer ${accessToken({ sub: 'ada' })}`;
    const get = (path: string) => fetch(service.url + path, { headers: { authorization } });
    expect((await get('/health/ready')).status).toBe(200);
    expect((await get('/api/credits/balance')).status).toBe(200);
    const served = (await (await get('/api/docs-json')).json()) as Document;
    const written = JSON.parse(await readFile('openapi.json', 'utf8')) as Document;
    expect([served.paths, served.components]).toEqual([written.paths, written.components]);
    expect((await get('/api/credits/nowhere')).status).toBe(404);
    expect(await service.stop()).toBe(0);
  });

  it(`loads fewer than ${MOST_FILES} files to start`, async () => {
    const opened = join(compiled.directory, 'opened.txt');
    const counting = join(compiled.directory, 'counting.mjs');
    await writeFile(counting, COUNTING);
    const env = {
      ...environment(),
      OPENED: opened,
      NODE_OPTIONS: `--import ${pathToFileURL(counting).href}`,
    };
    const service = await compiled.start(env, 'service.js');
    await service.stop();
    const files = new Set((await readFile(opened, 'utf8')).split('\n').filter(Boolean));
    expect([...files].some((file) => file.endsWith('/service.js'))).toBe(true);
    expect(files.size).toBeLessThan(MOST_FILES);
  });
});
