import { describe, expect, it, vi } from 'vitest';
import { NoTurn, Turns } from './turns.js';

const turns = (changes: Partial<ConstructorParameters<typeof Turns>[0]> = {}) =>
  new Turns({
    perCaller: 1,
    inAll: 2,
    patienceMilliseconds: 1000,
    waitingPerCaller: 3,
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
  it('are taken one after the other by one caller, in order, and beside each other by others', async () => {
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

  it('are given to the first who may: a caller with many waiting keeps no other waiting', async () => {
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

  it('are refused when too many wait, when the patience ends, and when they are not wanted any more', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const all = turns();
    const end = await all.take('ann');
    const waiting = [all.take('ann'), all.take('ann'), all.take('ann')];
    expect(await stateOf(all.take('ann'))).toBe('refused: caller');
    const stop = new AbortController();
    const abandoned = all.take('ann', stop.signal);
    expect(await stateOf(abandoned)).toBe('refused: caller');
    vi.advanceTimersByTime(1000);
    expect(await Promise.all(waiting.map(stateOf))).toEqual(Array(3).fill('refused: caller'));
    const last = all.take('ann', stop.signal);
    expect(await stateOf(last)).toBe('waiting');
    stop.abort();
    expect(await stateOf(last)).toBe('refused: caller');
    end();
    expect(await stateOf(all.take('ann'))).toBe('begun');
    vi.useRealTimers();
  });
});
