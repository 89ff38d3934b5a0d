import { describe, expect, it, vi } from 'vitest';
import { NoTurn, Turns } from './turns.js';

const turns = (changes: Partial<ConstructorParameters<typeof Turns>[0]> = {}) =>
  new Turns({
    perKey: 1,
    inAll: 2,
    patienceMilliseconds: 1000,
    waitingPerKey: 3,
    waitingInAll: 5,
    ...changes,
  });
/** What is known of it when all that can happen now has happened. */
async function stateOf(turn: Promise<unknown>): Promise<string> {
  const state = turn.then(
    () => 'begun',
    (error: unknown) => (error instanceof NoTurn ? `refused: ${error.reason}` : 'failed'),
  );
  const pending = new Promise((resolve) => setImmediate(resolve)).then(() => 'waiting');
  return Promise.race([state, pending]);
}

describe('turns', () => {
  it('are taken one after the other by one key, in order, and beside each other by others', async () => {
    const all = turns();
    const first = await all.take('ann');
    const second = all.take('ann');
    const third = all.take('ann');
    expect(await stateOf(all.take('bob'))).toBe('begun');
    expect(await Promise.all([second, third].map(stateOf))).toEqual(['waiting', 'waiting']);
    first();
    expect(await Promise.all([second, third].map(stateOf))).toEqual(['begun', 'waiting']);
    (await second)();
    expect(await stateOf(third)).toBe('begun');
  });

  it('are given to the first that may run: a key with many waiting keeps no other waiting', async () => {
    const all = turns();
    const [ann, bob] = [await all.take('ann'), await all.take('bob')];
    const more = [all.take('ann'), all.take('ann')];
    const cid = all.take('cid');
    expect(await stateOf(cid)).toBe('waiting');
    bob();
    expect(await stateOf(cid)).toBe('begun');
    ann();
    expect(await Promise.all(more.map(stateOf))).toEqual(['begun', 'waiting']);
  });

  it('end once, however often they are ended', async () => {
    const all = turns({ inAll: 1, patienceMilliseconds: 0 });
    const end = await all.take('ann');
    end();
    end();
    expect(await stateOf(all.take('ann'))).toBe('begun');
    expect(await stateOf(all.take('bob'))).toBe('refused: all');
  });

  it('end with the work that is done in them, also when it fails', async () => {
    const all = turns({ patienceMilliseconds: 0 });
    await expect(all.run('ann', () => Promise.reject(new Error('of the work')))).rejects.toThrow(
      'of the work',
    );
    expect(await all.run('ann', () => Promise.resolve('done'))).toBe('done');
    let finish = (_answer: string) => undefined as void;
    const long = all.run('ann', () => new Promise<string>((resolve) => (finish = resolve)));
    expect(await stateOf(all.run('ann', () => Promise.resolve('never')))).toBe('refused: key');
    finish('done');
    expect(await long).toBe('done');
  });

  it('are refused when too many wait, when the patience ends, and when they are not wanted any more', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const all = turns();
    const end = await all.take('ann');
    const waiting = [all.take('ann'), all.take('ann'), all.take('ann')];
    expect(await stateOf(all.take('ann'))).toBe('refused: key');
    const stop = new AbortController();
    const abandoned = all.take('ann', stop.signal);
    expect(await stateOf(abandoned)).toBe('refused: key');
    vi.advanceTimersByTime(1000);
    expect(await Promise.all(waiting.map(stateOf))).toEqual(Array(3).fill('refused: key'));
    const last = all.take('ann', stop.signal);
    expect(await stateOf(last)).toBe('waiting');
    stop.abort();
    expect(await stateOf(last)).toBe('refused: key');
    end();
    expect(await stateOf(all.take('ann'))).toBe('begun');
    vi.useRealTimers();
  });
});
