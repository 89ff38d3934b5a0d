import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { importPrices } from '../../src/cli/price-import-command.js';
import { startService, type TestService } from '../support/service.js';
import { snapshot } from '../support/snapshot.js';
import { accessToken, SECRET } from '../support/tokens.js';

const PRICE_MAP = fileURLToPath(new URL('price-map.json', import.meta.url));
const ADMIN = accessToken({ sub: 'root', role: 'admin' });

let service: TestService;
let directory: string;
beforeAll(async () => {
  service = await startService();
  directory = await mkdtemp(join(tmpdir(), 'accounting-import-'));
});
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  await service.close();
  await rm(directory, { recursive: true });
});

/** Runs the command as a shell would, and returns what it wrote. */
async function run(...args: string[]): Promise<{ result: string; progress: string }> {
  const written = { result: '', progress: '' };
  await importPrices(args, {
    result: (text) => (written.result += text),
    progress: (line) => (written.progress += `${line}\n`),
  });
  return written;
}

const runHere = (...args: string[]) => run(PRICE_MAP, '--url', service.url, '--token', ADMIN, ...args);

async function fileWith(text: string): Promise<string> {
  const file = join(directory, 'prices.json');
  await writeFile(file, text);
  return file;
}

describe('npm run pricing:import', () => {
  it('says with --dry-run what it would do, does it, and finds nothing to do the next time', async () => {
    const before = await snapshot(service.owner);
    const { result: dry } = await runHere('--dry-run', '--models', 'acme/*');
    // But for the account of who asked.
    expect((await snapshot(service.owner)).pricing_rules).toEqual(before.pricing_rules);
    const { result, progress } = await runHere('--models', 'acme/*');
    expect(dry).toBe(`Dry run: nothing was changed.\n${result}`);
    expect(result).toMatch(/^created +25\nunchanged +0\nskipped +16\n/);
    expect(result).toMatch(/^ +2 +input_cost_per_token is not a number$/m);
    expect(result).toMatch(
      /^ +1 +input_cost_per_token is implausible: above the ceiling of 0\.001 USD a token$/m,
    );
    expect(progress).toMatch(/Read .*price-map\.json: \d+ entries.*\nSending it to http.*\nAnswered after/);
    expect((await runHere('--models', 'acme/*')).result).toMatch(/^created +0\nunchanged +25\n/);
  });

  it('passes every option on', async () => {
    const { result } = await runHere(
      ...['--models', 'acme/free,acme/chat', '--markup', '2', '--credits-per-usd', '10', '--include-free'],
    );
    expect(result).toMatch(/^created +2 \(1 of them a changed price\)\nunchanged +0\nskipped +0\n/);
    const pricing = await service.as().get<{ current: object }>('/api/pricing/acme/chat');
    expect(pricing.body.current).toMatchObject({ pricePerThousandTokens: '0.012' });
  });

  it('takes the token of ACCOUNTING_TOKEN, or in development makes one with the service’s secret', async () => {
    const file = await fileWith('{}');
    vi.stubEnv('ACCOUNTING_TOKEN', accessToken({ sub: 'eve' }));
    await expect(run(file, '--url', service.url)).rejects.toThrow(/403.*Admin access required/);
    vi.stubEnv('ACCOUNTING_TOKEN', '');
    vi.stubEnv('JWT_ACCESS_SECRET', SECRET);
    expect((await run(file, '--url', `${service.url}/`)).result).toMatch(/^created +0\n/);
    vi.stubEnv('NODE_ENV', 'production');
    await expect(run(file, '--url', service.url)).rejects.toThrow(/--token or ACCOUNTING_TOKEN/);
  });

  it.each<[what: string, args: () => string[] | Promise<string[]>, message: RegExp]>([
    ['no file is named', () => [], /Name one file/],
    ['two are', () => ['a', 'b'], /Name one file/],
    ['there is no such file', () => ['/nowhere/prices.json'], /There is no file \/nowhere\/prices\.json/],
    ['it is a directory', () => [directory], /Cannot read/],
    ['it is not JSON', async () => [await fileWith('{')], /is not JSON/],
    ['it is no map', async () => [await fileWith('[]')], /must be a JSON object of models/],
    ['an option is unknown', () => [PRICE_MAP, '--surprise'], /--surprise/],
    ['the address is none', () => [PRICE_MAP, '--url', 'here'], /--url must be an address/],
    ['the token is none', () => [PRICE_MAP, '--url', service.url, '--token', 'x'], /401.*Check --token/],
    [
      'the service refuses a parameter',
      () => [PRICE_MAP, '--url', service.url, '--token', ADMIN, '--markup', '0'],
      /400.*markup: must be more than 0/,
    ],
    [
      'a parameter is no number',
      () => [PRICE_MAP, '--url', service.url, '--token', ADMIN, '--markup', 'abc'],
      /400.*markup: must be a decimal number/,
    ],
  ])('says what to do when %s', async (_, args, message) => {
    await expect(run(...(await args()))).rejects.toThrow(message);
  });

  it('says that there is no answer where no service runs', async () => {
    const unused = createServer().listen(0, '127.0.0.1');
    await new Promise((listening) => unused.once('listening', listening));
    const { port } = unused.address() as AddressInfo;
    await new Promise((closed) => unused.close(closed));
    const address = ['--url', `http://127.0.0.1:${port}`, '--token', ADMIN];
    await expect(run(PRICE_MAP, ...address)).rejects.toThrow(
      /does not answer at http.*ECONNREFUSED.*Is it running/,
    );
  });

  it('explains itself', async () => {
    expect((await run('--help')).result).toMatch(/npm run -s pricing:import -- FILE/);
  });
});
