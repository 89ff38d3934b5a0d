import { setTimeout as pause } from 'node:timers/promises';

/**
 * The ways in which a stream may end: the provider's behaviour, and what the consumer does at a random chunk. `at` names the
 * field of the scenario that gets a random number of tokens.
 *
 * @typedef {object} Way
 * @property {object} [scenario]
 * @property {string} [at]
 * @property {'leave' | 'throw' | 'abort'} [consumer]
 * @property {boolean} [timeout] the consumer waits for a random time
 * @property {number} [timeoutMs] for this one
 * @property {object} [options] of `Accounting`
 * @property {number} [credits] each stream has a user of its own with so many
 * @property {boolean} [needsReturn] the SDK must pass on that the consumer has left
 */

/** @type {Record<string, Way>} */
export const WAYS = {
  'reads to the end': {},
  'leaves, estimate': { consumer: 'leave', scenario: { goOn: false } },
  'leaves, drain': {
    consumer: 'leave',
    needsReturn: true,
    options: { onLeave: { openai: 'drain', anthropic: 'drain' } },
  },
  'consumer throws': { consumer: 'throw', scenario: { goOn: false } },
  'aborts by signal': { consumer: 'abort', scenario: { goOn: false } },
  'provider fails': { at: 'failAfterTokens' },
  'connection is cut': { at: 'cutAfterTokens' },
  'stalls, times out': { at: 'stallAfterTokens', timeout: true, scenario: { goOn: false } },
  'provider refuses': { scenario: { failStatus: 400 } },
  'SDK retries': { scenario: { failStatus: 500, failTimes: 1 } },
  'credits run out': {
    scenario: { goOn: false, tokens: 250 },
    credits: 150,
    options: { maxOutputTokens: 30, progress: { everyTokens: 20 } },
  },
};

/**
 * Plays one stream.
 *
 * @param {Way} way
 * @param {(options: object) => Promise<AsyncIterable<unknown>>} start
 * @param {number} leaveAt the chunk at which the consumer does what the way says
 * @param {boolean} passesReturn otherwise a consumer who leaves aborts, too, as the SDK's users are told to
 * @returns {Promise<string>} how it ended for the consumer
 */
export async function play(way, start, headers, leaveAt, passesReturn) {
  const stopping = new AbortController();
  const timer = way.timeoutMs && setTimeout(() => stopping.abort(), way.timeoutMs);
  try {
    let chunk = 0;
    for await (const _ of await start({ headers, signal: stopping.signal })) {
      if (++chunk !== leaveAt || way.consumer === undefined) continue;
      if (way.consumer === 'abort' || !passesReturn) stopping.abort();
      if (way.consumer === 'leave') return 'left';
      if (way.consumer === 'throw') throw new Error('of the consumer');
    }
    return 'ended';
  } catch (error) {
    return error.message === 'of the consumer' ? 'threw' : error.constructor.name;
  } finally {
    clearTimeout(timer);
    // What the AI SDK does after an abort takes a turn of the event loop.
    await pause(0);
  }
}
