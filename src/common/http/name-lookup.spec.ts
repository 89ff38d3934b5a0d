import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { oneAtATime } from './name-lookup.js';

type Answer = (error: Error | null, addresses?: LookupAddress[]) => void;
const ADDRESSES = [
  { address: '192.0.2.1', family: 4 },
  { address: '2001:db8::1', family: 6 },
];

/** A name server that answers when the test lets it. */
function nameServer() {
  const asked: { name: string; answer: Answer }[] = [];
  const lookup = oneAtATime((name, _, answer) => asked.push({ name, answer: answer as Answer }));
  return { asked, names: () => asked.map(({ name }) => name), lookup };
}

/** What a connection to a name gets. */
function connect(lookup: LookupFunction, name: string, all = true): Promise<unknown> {
  return new Promise((done) =>
    lookup(name, { all }, (error, found, family) => done(error ?? [found, family])),
  );
}

afterEach(() => {
  vi.useRealTimers();
});

describe('a lookup of a name', () => {
  it('waits for the one before, whatever becomes of that, and answers all who ask for its name', async () => {
    const { asked, names, lookup } = nameServer();
    const [first, same] = [connect(lookup, 'a.test'), connect(lookup, 'a.test', false)];
    const second = connect(lookup, 'b.test');
    await vi.waitFor(() => expect(names()).toEqual(['a.test']));
    asked[0]?.answer(null, ADDRESSES);
    expect(await first).toEqual([ADDRESSES, undefined]);
    expect(await same).toEqual(['192.0.2.1', 4]);
    await vi.waitFor(() => expect(names()).toEqual(['a.test', 'b.test']));
    const third = connect(lookup, 'c.test');
    const refused = new Error('no such name');
    asked[1]?.answer(refused);
    expect(await second).toBe(refused);
    await vi.waitFor(() => expect(names()).toEqual(['a.test', 'b.test', 'c.test']));
    asked[2]?.answer(null, ADDRESSES);
    expect(await third).toEqual([ADDRESSES, undefined]);
  });

  it('fails at once for half a minute when the name server was silent, so that other names find their turn', async () => {
    vi.useFakeTimers();
    const { asked, names, lookup } = nameServer();
    const silence = new Error('EAI_AGAIN');
    const first = connect(lookup, 'silent.test');
    await vi.waitFor(() => expect(names()).toEqual(['silent.test']));
    vi.advanceTimersByTime(10_000);
    asked[0]?.answer(silence);
    expect(await first).toBe(silence);
    expect(await connect(lookup, 'silent.test')).toBe(silence);
    expect(names()).toEqual(['silent.test']);
    vi.advanceTimersByTime(30_000);
    void connect(lookup, 'silent.test');
    await vi.waitFor(() => expect(names()).toEqual(['silent.test', 'silent.test']));
  });
});
