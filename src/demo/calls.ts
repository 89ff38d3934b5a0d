import { createHash } from 'node:crypto';
import { joinedAt, makeAllocations, type PastCall } from './allocations.js';
import { type DemoKey, lifeOf } from './keys.js';
import { DEAR_MODEL, MODELS, UNPRICED_MODEL } from './models.js';
import { CAST, DAY, HISTORY_DAYS, MINUTE, type Person, SPENDS_MUCH } from './people.js';
import type { SeededRandom } from './seeded-random.js';

const SECOND = 1000;
const LEASE_SECONDS = 900;
const BUFFER_PERCENT = 20;
const HOUR = 60 * MINUTE;
/** Nothing of the past is under way any more: that is for the traffic of now. */
const QUIET_MILLISECONDS = 2 * MINUTE;
/** How busy each hour of a working day is (UTC). */
const HOURS = [1, 1, 1, 1, 1, 2, 5, 12, 22, 28, 30, 24, 18, 24, 28, 26, 20, 14, 8, 6, 5, 4, 3, 2].map(
  (weight, hour) => [hour, weight] as const,
);
const WEEKDAYS = [0.18, 1, 1.05, 1.1, 1.05, 0.9, 0.22];
const INPUT_TOKENS = 1600;
const OUTPUT_TOKENS = 450;
const CHATS = MODELS.filter(({ isEmbedding }) => !isEmbedding).map(({ id, weight }) => [id, weight] as const);
const REASONS = [
  'The provider billed more tokens than the gateway counted',
  'The answer was cut off, and the user asks for the credits back',
  'Charged twice, says the team; the provider has one call',
  'Usage was reported a day late',
];

/** What the users did, and what others did for them. */
export function makeCalls(
  random: SeededRandom,
  people: readonly Person[],
  keys: readonly DemoKey[],
  now: number,
): PastCall[] {
  const author = new Author(random, keys, now);
  for (const person of people) if (person.callsPerDay > 0) author.writePerson(person);
  return author.calls;
}

class Author {
  readonly calls: PastCall[] = [];
  private readonly keysOf = new Map<string, DemoKey[]>();
  private written = 0;

  constructor(
    private readonly random: SeededRandom,
    keys: readonly DemoKey[],
    private readonly now: number,
  ) {
    for (const key of keys) this.keysOf.set(key.userId, [...(this.keysOf.get(key.userId) ?? []), key]);
  }

  writePerson(person: Person): void {
    this.calls.push(...makeAllocations(this.random, person, this.now));
    const favourites = SPENDS_MUCH.has(person.story)
      ? [DEAR_MODEL]
      : [this.random.weighted(CHATS), this.random.weighted(CHATS), this.random.weighted(CHATS)];
    if (person.story === 'unpaid calls') {
      for (const ago of [0.3, 1, 2, 3]) {
        this.writeCharge(person, DEAR_MODEL, this.now - ago * DAY, 'doubtful', undefined);
      }
    }
    const today = Math.floor(this.now / DAY) * DAY;
    for (let ago = Math.min(person.joinedDaysAgo, HISTORY_DAYS); ago >= 0; ago--) {
      const day = today - ago * DAY;
      const mean = person.callsPerDay * (WEEKDAYS[new Date(day).getUTCDay()] as number);
      // A user in such a state stopped coming some days ago.
      if (person.story === 'expired' && ago < 8) continue;
      for (let count = this.random.count(mean); count > 0; count--) {
        const at = day + this.random.weighted(HOURS) * HOUR + this.random.integer(0, HOUR);
        const model = this.random.chance(0.03) ? UNPRICED_MODEL : this.random.pick(favourites);
        if (at > joinedAt(person, this.now) && at < this.now - HOUR / 3)
          this.writeActivity(person, model, at);
      }
    }
  }

  private writeActivity(person: Person, modelId: string, at: number): void {
    const key = this.liveKeyOf(person.userId, at);
    const kind = this.random.weighted([
      ['session', 62],
      ['charge', 24],
      ['litellm', 6],
      ['embedding', 4],
      ['recorded', 3],
      ['doubtful', person.story === 'unpaid calls' ? 3 : 0.4],
    ] as const);
    if (kind === 'session') this.writeSession(person, modelId, at, key);
    else if (kind === 'recorded') this.writeRecord(person, at);
    else if (kind === 'embedding') this.writeEmbedding(person, at, key);
    else this.writeCharge(person, modelId, at, kind, key);
  }

  /** Some of what happens comes from a program of the user, with a key that works then. */
  private liveKeyOf(userId: string, at: number): DemoKey | undefined {
    if (!this.random.chance(0.45)) return undefined;
    return this.keysOf.get(userId)?.find((key) => {
      const [from, until] = lifeOf(key);
      return at > from && at < until;
    });
  }

  private writeSession(person: Person, modelId: string, at: number, key: DemoKey | undefined): void {
    const { random, now } = this;
    const { userId } = person;
    const session = `chat-${(++this.written).toString(36).padStart(5, '0')}`;
    const actor = actorOf(userId, key);
    const input = random.around(INPUT_TOKENS);
    const output = random.around(OUTPUT_TOKENS);
    const actual = Math.max(1, Math.round(output * (0.5 + random.integer(0, 80) / 100)));
    const lasts = Math.round(actual / 60 + 1) * SECOND;
    if (at + lasts + (LEASE_SECONDS + 1200) * SECOND > now - QUIET_MILLISECONDS) return;
    const named = { accountId: userId, userId, sessionId: session, actor };
    const lease = { bufferPercent: BUFFER_PERCENT, leaseSeconds: LEASE_SECONDS };
    this.add(at, 'session_hold', {
      ...named,
      ...lease,
      modelId,
      estimatedInputTokens: input,
      estimatedOutputTokens: output,
      rejectUnpriced: false,
      apiKeyId: key?.id ?? null,
    });
    const progress = (share: number) =>
      this.add(at + lasts * share, 'session_progress', {
        ...named,
        ...lease,
        tokensGenerated: Math.round(actual * share),
        maximumAgeSeconds: DAY / SECOND,
      });
    const settle = (
      after: number,
      reason: string,
      success: boolean,
      tokens: number | null,
      made: number | null,
    ) => {
      const cached = made !== null && random.chance(0.2) ? Math.round(input * 0.6) : null;
      const fresh = made === null ? null : input - (cached ?? 0);
      this.add(at + after, 'session_settle', {
        ...named,
        reason,
        success,
        tokensGenerated: tokens,
        quantities: {
          input: fresh ?? 0,
          output: made ?? 0,
          ...(cached === null ? {} : { cached_input: cached }),
        },
        serviceTier: 'standard',
      });
    };
    const end = random.weighted([
      ['completed', 84],
      ['failed', 4],
      ['aborted', 7],
      ['timeout', 3],
      ['late', person.story === 'unpaid calls' ? 8 : 2],
    ] as const);
    if (end !== 'completed' || random.chance(0.15)) progress(0.5);
    if (end === 'completed') return settle(lasts, 'finalized', true, null, actual);
    if (end === 'failed') return settle(lasts * 0.6, 'finalized', false, null, Math.round(actual * 0.4));
    if (end === 'aborted') return settle(lasts * 0.6, 'aborted', false, Math.round(actual * 0.55), null);
    const timeout = lasts / 2 + (LEASE_SECONDS + 6) * SECOND;
    this.add(at + timeout, 'session_timeout', { ...named, wait: true });
    // The bill comes after all, and is higher than what was estimated.
    if (end === 'late')
      settle(timeout + random.integer(60, 600) * SECOND, 'finalized', true, null, actual * 3);
  }

  private writeCharge(
    person: Person,
    modelId: string,
    at: number,
    kind: 'charge' | 'litellm' | 'doubtful',
    key: DemoKey | undefined,
  ): void {
    const { random } = this;
    const input = random.around(INPUT_TOKENS);
    const cached = random.chance(0.3) ? Math.round(input * 0.7) : 0;
    const output = random.around(OUTPUT_TOKENS);
    const number = ++this.written;
    const isLitellm = kind === 'litellm';
    const metadata = isLitellm
      ? {
          source: 'litellm',
          tokens: input + output,
          callId: `chatcmpl-${number}`,
          callType: 'acompletion',
          model: modelId,
          teamId: person.team.toLowerCase(),
        }
      : { team: person.team, ...(kind === 'doubtful' ? { reason: random.pick(REASONS) } : {}) };
    const request = `${isLitellm ? 'litellm:chatcmpl' : 'call'}-${number}`;
    this.charge(at, request, person, modelId, [input - cached, output, cached], metadata, {
      billing: kind === 'doubtful' ? 'needs_review' : 'billed',
      onShort: isLitellm || person.story === 'unpaid calls' ? 'review' : 'reject',
      actor: isLitellm ? 'service:litellm' : actorOf(person.userId, key),
      keyId: isLitellm ? null : (key?.id ?? null),
    });
    // Most of what waits for a review has had one; what came in the last days waits.
    const reviewedAt = at + random.integer(3, 40) * HOUR;
    if (kind === 'doubtful' && reviewedAt < this.now - 4 * DAY) {
      this.add(reviewedAt, 'usage_review', {
        accountId: person.userId,
        requestId: request,
        action: random.pick(['bill', 'waive']),
        actor: CAST.admin.userId,
      });
    }
  }

  private writeEmbedding(person: Person, at: number, key: DemoKey | undefined): void {
    const tokens: [number, number, number] = [this.random.around(INPUT_TOKENS * 12), 0, 0];
    const metadata = { team: person.team, documents: this.random.integer(1, 40) };
    this.charge(at, `call-${++this.written}`, person, 'text-embedding-3-large', tokens, metadata, {
      service: 'embeddings',
      actor: actorOf(person.userId, key),
      keyId: key?.id ?? null,
    });
  }

  private charge(
    at: number,
    request: string,
    { userId }: Person,
    modelId: string,
    [input, output, cached]: [number, number, number],
    metadata: object,
    more: { service?: string; billing?: string; onShort?: string; actor: string; keyId: number | null },
  ): void {
    const { service = 'chat', billing = 'billed', onShort = 'reject', actor, keyId } = more;
    this.add(at, 'usage_charge', {
      accountId: userId,
      userId,
      requestId: request,
      contentHash: createHash('sha256').update(request).digest('hex'),
      modelId,
      quantities: { input, output, cached_input: cached },
      serviceTier: 'standard',
      service,
      metadata,
      billingStatus: billing,
      onInsufficient: onShort,
      rejectUnpriced: false,
      actor,
      apiKeyId: keyId,
    });
  }

  /** Settled elsewhere: it only stands in the statistics. */
  private writeRecord({ userId, team }: Person, at: number): void {
    const images = this.random.integer(1, 4);
    this.add(at, 'usage_record', {
      accountId: userId,
      userId,
      timestamp: new Date(at).toISOString(),
      service: 'images',
      recordedOperation: 'dall-e-3',
      credits: images * 8,
      metadata: { team, images },
    });
  }

  private add(at: number, operation: string, request: PastCall['request']): void {
    if (at < this.now - MINUTE) this.calls.push({ at: Math.round(at), operation, request });
  }
}

const actorOf = (userId: string, key: DemoKey | undefined) => (key ? `service:api-key-${key.id}` : userId);
