import { effect, signal } from '@preact/signals';
import { EVENT_WORDS } from '../../../events/event-words.js';
import { eventReader } from './event-stream';
import { connection } from './connection';
import type { LimitFacts } from './limits';
import { credentialsOf, type Session, session } from './session';

/** Something that has happened to an account, as the service reports it. */
export interface AccountEvent {
  id: number;
  type: string;
  accountId: string;
  userId: string;
  occurredAt: string;
  data: Record<string, unknown>;
}

/** Newest first; null where the service reports no events. */
export const events = signal<AccountEvent[] | null>(null);
/** The last one that happened while this page was open. */
export const latest = signal<AccountEvent | null>(null);

const MOST_KEPT = 50;
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 30_000;

let control: AbortController | undefined;

effect(() => {
  const current = session.value;
  control?.abort();
  events.value = null;
  if (current === null) return;
  control = new AbortController();
  void follow(current, control.signal);
});

/** Reads past events, then follows new ones until the session ends; a stream that breaks is resumed where it broke. */
async function follow(current: Session, ended: AbortSignal): Promise<void> {
  let delay = FIRST_DELAY;
  while (!ended.aborted) {
    try {
      // Not `value`: the effect that calls this would run again with every event.
      if (events.peek() === null) {
        const past = await ask(current, '/api/events?limit=20', ended);
        if (isForGood(past)) return;
        if (!past.ok) throw new Error(`status ${past.status}`);
        const { items } = (await past.json()) as { items: AccountEvent[] };
        if (ended.aborted) return;
        events.value = items;
      }
      const last = events.peek()?.[0]?.id;
      const response = await ask(
        current,
        '/api/events/stream',
        ended,
        last === undefined ? {} : { 'Last-Event-ID': String(last) },
      );
      if (isForGood(response)) return;
      if (response.ok && response.body !== null) {
        delay = FIRST_DELAY;
        await readAll(response.body);
      }
    } catch {
      // The connection broke, or the service is busy; the loop tries again.
    }
    await pause(delay * (0.75 + Math.random() / 2), ended);
    delay = Math.min(delay * 2, LONGEST_DELAY);
    while (connection.value !== 'up' && !ended.aborted) await pause(FIRST_DELAY, ended);
  }
}

/** Refused for good: the next request of the page shows why. */
const isForGood = ({ status }: Response) => [401, 403, 404].includes(status);

const ask = (current: Session, path: string, ended: AbortSignal, headers: Record<string, string> = {}) =>
  fetch(path, {
    headers: { ...credentialsOf(current), ...headers },
    signal: ended,
    cache: 'no-store',
  });

async function readAll(body: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
  const read = eventReader();
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    for (const { data } of read(value)) take(JSON.parse(data) as AccountEvent);
  }
}

function take(event: AccountEvent): void {
  const known = events.value ?? [];
  if (known.some(({ id }) => id === event.id)) return;
  events.value = [event, ...known].slice(0, MOST_KEPT);
  latest.value = event;
}

/** A newer service may emit other types. */
export const wordsFor = ({ type }: AccountEvent): string =>
  (EVENT_WORDS as Record<string, string>)[type] ?? type;

/** The limit that an event is about, as it was then. */
export const limitOf = ({ type, data }: AccountEvent): LimitFacts | null =>
  type === 'limit.reached' || type.startsWith('budget.') ? (data as unknown as LimitFacts) : null;

function pause(milliseconds: number, ended: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    ended.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        done();
      },
      { once: true },
    );
  });
}
