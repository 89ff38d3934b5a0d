import type { Role } from '../common/http/caller.js';
import type { DevelopmentPerson } from '../config/env.js';
import type { SeededRandom } from './seeded-random.js';

export interface Person {
  readonly userId: string;
  readonly username: string;
  readonly email: string;
  readonly role: Role;
  readonly team: string;
  /** Calls on an ordinary working day, on average. */
  readonly callsPerDay: number;
  /** What of a month's need the budget covers. */
  readonly budget: number;
  /** Days before now at which they came. */
  readonly joinedDaysAgo: number;
  /** Minutes into that day: whatever follows from the day, such as an expiry, comes to each at another time. */
  readonly joinedMinute: number;
  readonly story?: Story;
}

/** Those whom a newcomer should find, and what is the matter with them. */
export type Story = 'out of credits' | 'expiring unused' | 'unpaid calls' | 'expired' | 'healthy';

/** Stories of users who spend more than they have. */
export const SPENDS_MUCH: ReadonlySet<Story | undefined> = new Set(['out of credits', 'unpaid calls']);

const FIRST = (
  'Aisha Alan Amara Anton Beatriz Ben Carla Chidi Clara Dara David Elena Emil Fatima Felix Freya Gustav Hana Hugo Ines ' +
  'Ivan Jana Jonas Kaito Karim Lara Luca Maja Malik Mateo Mei Nadia Nils Olga Pablo Priya Rosa Samir Tomas Yara'
).split(' ');
const LAST = (
  'Abe Almeida Andersen Baker Berg Castro Chen Costa Dubois Eriksen Fischer Garcia Haas Hansen Ibrahim Ito Jensen Kaya ' +
  'Keller Khan Kovacs Larsen Lopez Meyer Moreno Nakamura Novak Okoye Olsen Patel Petrov Rossi Santos Schmidt Silva ' +
  'Sokolov Tanaka Vega Weber Yilmaz'
).split(' ');
const TEAMS = ['Engineering', 'Research', 'Support', 'Marketing', 'Sales', 'Legal'];

/** As many different names as there are. */
export const MOST_PEOPLE = FIRST.length * LAST.length;

/** Within a day less the hour that the first calls of today need. */
const JOINING_MINUTES = 22 * 60;

export const MINUTE = 60_000;
export const DAY = 86_400_000;
/** Days of history, and how long before now the first users came. */
export const HISTORY_DAYS = 35;

function person(username: string, more: Partial<Person>): Person {
  const userId = username.toLowerCase().replace(' ', '.');
  return {
    userId,
    username,
    email: `${userId}@example.com`,
    role: 'user',
    team: 'Engineering',
    callsPerDay: 0,
    budget: 1.5,
    joinedDaysAgo: HISTORY_DAYS,
    joinedMinute: 0,
    ...more,
  };
}

/** The same in every demo. */
export const CAST = {
  admin: person('Ada Moreau', { role: 'admin' }),
  supervisor: person('Sam Okafor', { role: 'supervisor' }),
  secondSupervisor: person('Petra Lind', { role: 'supervisor', team: 'Research' }),
  user: person('Mia Tanaka', { callsPerDay: 9, budget: 2, story: 'healthy' }),
  others: [
    person('Nora Quist', { callsPerDay: 12, budget: 0.5, team: 'Support', story: 'out of credits' }),
    person('Omar Haddad', { callsPerDay: 2, budget: 1, team: 'Legal', story: 'expiring unused' }),
    person('Ivy Chan', { callsPerDay: 12, budget: 0.85, team: 'Research', story: 'unpaid calls' }),
    person('Leo Brandt', { callsPerDay: 5, budget: 1, team: 'Sales', story: 'expired', joinedDaysAgo: 33 }),
  ],
} as const;

/** Whom the sign-in page offers: one of each role, and one in trouble. */
export const OFFERED: readonly DevelopmentPerson[] = [
  { ...claimsOf(CAST.admin), hint: 'admin: sees and changes everything' },
  { ...claimsOf(CAST.supervisor), hint: 'supervisor: helps users, gives credits' },
  { ...claimsOf(CAST.user), hint: 'user: own credits, usage and keys' },
  { ...claimsOf(CAST.others[0]), hint: 'user: has run out of credits' },
];

function claimsOf({ userId, username, role }: Person) {
  return { sub: userId, username, role };
}

/** All users: the cast, and users who come over the month, few heavy and many light. */
export function makePeople(random: SeededRandom, users: number): Person[] {
  const { others, ...named } = CAST;
  const people = [...Object.values(named), ...others];
  const taken = new Set<string>();
  while (people.length < users) {
    const username = `${random.pick(FIRST)} ${random.pick(LAST)}`;
    if (taken.has(username)) continue;
    taken.add(username);
    people.push(
      person(username, {
        team: random.pick(TEAMS),
        callsPerDay: random.weighted([
          [10, 5],
          [3, 35],
          [0.6, 60],
        ]),
        budget: random.integer(11, 32) / 10,
        // A third is there from the beginning; the others come one after the other.
        joinedDaysAgo: random.chance(0.35) ? HISTORY_DAYS : random.integer(1, HISTORY_DAYS),
        joinedMinute: random.integer(0, JOINING_MINUTES),
      }),
    );
  }
  return people;
}
