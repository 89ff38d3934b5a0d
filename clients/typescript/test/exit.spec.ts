import { describe, expect, inject, it } from 'vitest';
import { startService } from '../../testing/service.js';
import { Program } from './support/program.js';
import { GPT, importPrices, until, User } from './support/world.js';

const world = inject('world');
const STREAMS = 5;

async function start(settings: object, own = world) {
  const user = await User.with(own, 1_000_000);
  const { url, internalApiKey, provider } = own;
  const connection = { baseUrl: url, internalApiKey, userId: user.id };
  const program = new Program('stream.js', {
    options: connection,
    provider,
    model: GPT,
    streams: STREAMS,
    ...settings,
  });
  await until('reading', () => program.all('reading').length === 1);
  return { user, program };
}

describe('SIGTERM', () => {
  it('lets streams end that do so in time, and ends the process by the signal', async () => {
    const { user, program } = await start({ scenario: { tokens: 60, everyMs: 10 }, seconds: 10 });
    const ended = await program.end('SIGTERM');
    expect(ended).toEqual([null, 'SIGTERM']);
    const records = await user.records();
    expect(records.map(({ usageSource, quantities }) => [usageSource, quantities.output])).toEqual(
      Array.from({ length: STREAMS }, () => ['provider', 60]),
    );
  });

  it('settles the others with what was seen, within its deadline', async () => {
    const { user, program } = await start({ scenario: { tokens: 100_000, everyMs: 5 }, seconds: 1 });
    const begun = performance.now();
    await program.end('SIGTERM');
    expect(performance.now() - begun).toBeLessThan(1500);
    const records = await user.records();
    expect(records).toHaveLength(STREAMS);
    for (const { usageSource, quantities } of records) {
      expect(usageSource).toBe('estimated');
      expect(quantities.output).toBeGreaterThan(10);
    }
    expect(await user.openSessions()).toBe(0);
  });
});

describe('SIGKILL', () => {
  it('after a few tokens: each prompt and its first tokens are charged', { timeout: 60_000 }, async () => {
    const service = await startService({ leaseSeconds: 3, sweepSeconds: 1 });
    const own = { ...world, ...service };
    await importPrices(own);
    const { user, program } = await start({ scenario: { tokens: 1000, everyMs: 20, goOn: false } }, own);
    await program.end('SIGKILL');
    await until('charged', async () => (await user.records()).length === STREAMS);
    for (const { quantities } of await user.records()) {
      expect(quantities.input).toBeGreaterThan(0);
      expect(quantities.output).toBeGreaterThan(0);
    }
    await service.stop();
  });
});
