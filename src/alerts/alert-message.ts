import type { AccountingEvent, EventType } from '../events/event-types.js';
import { EVENT_WORDS } from '../events/event-words.js';

/** Events that a message shows one by one; of the others it has the number. */
export const MOST_SHOWN = 20;

/** What one message is about. */
export interface Burst {
  /** The first of them, in their order. */
  readonly events: readonly AccountingEvent[];
  readonly counts: ReadonlyMap<EventType, number>;
}

export interface AlertText {
  readonly subject: string;
  /** One line for each event, and one for those that are not shown. */
  readonly lines: readonly string[];
}

/** Members of an event's data that say more than its type, in words. */
const FACTS: [name: string, words: (value: string | number) => string][] = [
  ['availableCredits', (value) => `${value} credits available`],
  ['uncollectedCredits', (value) => `${value} credits uncollected`],
  ['expiresAt', (value) => `expires ${value}`],
  ['keyHint', (value) => `key ${value}`],
  ['sessionId', (value) => `session ${value}`],
  ['limit', (value) => `limit ${value}`],
  ['used', (value) => `${value} used`],
  ['userId', (value) => `user ${value}`],
];

export function alertText(ruleName: string, { events, counts }: Burst, timeZone: string): AlertText {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const [first] = events;
  if (first === undefined) throw new Error('an alert needs an event');
  const types = [...counts].map(([type, count]) => `${count} × ${type}`).join(', ');
  const what = total === 1 ? `${first.accountId} ${EVENT_WORDS[first.type]}` : `${total} events: ${types}`;
  const shown = events.slice(0, MOST_SHOWN);
  const lines = shown.map((event) => lineOf(event, timeZone));
  if (total > shown.length) lines.push(`… and ${total - shown.length} more`);
  return { subject: oneLine(`${ruleName}: ${what}`), lines };
}

function lineOf({ accountId, type, occurredAt, data }: AccountingEvent, timeZone: string): string {
  const facts = FACTS.flatMap(([name, words]) => {
    const value = data[name];
    return typeof value === 'string' || typeof value === 'number' ? [words(value)] : [];
  });
  const more = facts.length === 0 ? '' : ` (${facts.join(', ')})`;
  return oneLine(`${localTime(occurredAt, timeZone)}  ${accountId} ${EVENT_WORDS[type]}${more}`);
}

/** Such as `2026-11-21 13:00 Europe/Berlin`. */
function localTime(time: string, timeZone: string): string {
  const text = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  return `${text.format(new Date(time))} ${timeZone}`;
}

// eslint-disable-next-line no-control-regex
const oneLine = (text: string) => text.replace(/[\u0000-\u001f\u007f\u2028\u2029]+/g, ' ');

/** As Slack wants text that is not markup: https://docs.slack.dev/messaging/formatting-message-text/#escaping */
export function slackBody({ subject, lines }: AlertText): string {
  const escaped = (text: string) =>
    text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return JSON.stringify({ text: [subject, ...lines].map(escaped).join('\n') });
}
