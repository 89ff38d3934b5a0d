import { createHash } from 'node:crypto';
import type { Permission } from '../common/http/caller.js';
import { joinedAt } from './allocations.js';
import { DAY, HISTORY_DAYS, MINUTE, type Person } from './people.js';
import type { SeededRandom } from './seeded-random.js';

/** An API key as the row of the table. The key itself does not exist: in a demo people create their own. */
export interface DemoKey {
  readonly id: number;
  readonly userId: string;
  readonly digest: string;
  readonly hint: string;
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  readonly creditLimit: number | null;
  /** The first of its line, for a key that came by rotation. */
  readonly budgetKeyId: number | null;
}

const NAMES = [
  'CI pipeline',
  'Nightly report',
  'Slack bot',
  'Notebook',
  'Ticket summaries',
  'Website search',
];
const STATES = ['live', 'limited', 'expiring', 'expired', 'revoked', 'rotated'] as const;
const ORDINARY_STATES = STATES.filter((state) => state !== 'expiring');

/** When a key works: from then until then. */
export function lifeOf({ createdAt, expiresAt, revokedAt }: DemoKey): [from: number, until: number] {
  return [createdAt, Math.min(expiresAt ?? Infinity, revokedAt ?? Infinity)];
}

/** Keys of frequent callers, in every state that a key can be in. */
export function makeKeys(random: SeededRandom, people: readonly Person[], now: number): DemoKey[] {
  const keys: DemoKey[] = [];
  const add = (key: Omit<DemoKey, 'id' | 'digest' | 'hint'>): DemoKey => {
    const id = keys.length + 1;
    const digest = createHash('sha256').update(`demo ${random.seed} ${id}`).digest('hex');
    const made = { ...key, id, digest, hint: `ak_…${digest.slice(-4)}` };
    keys.push(made);
    return made;
  };
  const owners = people.filter(
    ({ callsPerDay, story }) => story === 'healthy' || (callsPerDay >= 3 && random.chance(0.35)),
  );
  for (const [index, owner] of owners.entries()) {
    // The named user has one of each; the others one or two, none of them near its end.
    const states =
      owner.story === 'healthy'
        ? STATES
        : [ORDINARY_STATES[index % ORDINARY_STATES.length], 'live' as const].slice(0, random.integer(1, 2));
    for (const state of states) {
      const age = Math.max(1, Math.min(owner.joinedDaysAgo, HISTORY_DAYS) - random.integer(0, 6));
      const begun = now - age * DAY + random.integer(0, DAY / 3);
      const createdAt = Math.max(begun, joinedAt(owner, now) + MINUTE);
      const key = {
        userId: owner.userId,
        name: NAMES[keys.length % NAMES.length] as string,
        permissions: ['usage:write', 'sessions:write', 'credits:read'] as const,
        createdAt,
        expiresAt: null,
        revokedAt: null,
        creditLimit: null,
        budgetKeyId: null,
      };
      const middle = createdAt + (now - createdAt) * 0.6;
      if (state === 'limited') add({ ...key, creditLimit: random.pick([100, 500, 2000]) });
      else if (state === 'expiring') add({ ...key, expiresAt: now + random.integer(1, 5) * DAY });
      else if (state === 'expired') add({ ...key, expiresAt: middle });
      else if (state === 'revoked') add({ ...key, revokedAt: middle });
      else if (state === 'rotated') {
        const old = add({ ...key, expiresAt: middle + DAY });
        add({ ...key, createdAt: middle, budgetKeyId: old.id });
      } else add(key);
    }
  }
  return keys;
}
