import { createHash } from 'node:crypto';
import { joinedAt, type PastCall } from './allocations.js';
import { type DemoModel, MODELS, userPrice } from './models.js';
import { CAST, DAY, HISTORY_DAYS, MINUTE, type Person } from './people.js';
import { SeededRandom } from './seeded-random.js';

const SECOND = 1000;
const HOUR = 60 * MINUTE;
const LEASE_SECONDS = 900;
const MEMBERS = 6;
const WORKDAY_CALLS = 22;
/** How long ago the month of the budgets began. */
const MONTH_DAYS = 20;
/** Far beyond the demo: no organisation's trouble is that credits expire. */
const LOT_DAYS = 300;
/** Below the threshold of `credits.low`. */
const FEW_CREDITS = 80;
const SUPPORT_CREDITS = 250;
/** Chats whose prices stay as they are, so that what a call costs is known here. */
const CHATS = MODELS.filter(({ id }) => ['gpt-4.1', 'mistral-large', 'claude-sonnet-4'].includes(id));
const MILLION = 1_000_000;

export interface DemoOrganisation {
  readonly id: string;
  readonly name: string;
  /** What is the matter with it. */
  readonly story: string;
  readonly owner: Person;
  /** Chats at once while the demo runs. */
  readonly streams: number;
  readonly units: readonly string[];
  /** In the first unit, the second, and so on in turn. */
  readonly members: readonly Person[];
}

interface OrganisationCall {
  readonly at: number;
  readonly member: number;
  readonly model: DemoModel;
  readonly input: number;
  readonly output: number;
}

const CASES = [
  {
    id: 'org:northwind',
    name: 'Northwind',
    story: 'near its monthly budget, and its Support has used up its own',
    owner: CAST.user,
    streams: 1,
    units: ['Support', 'Engineering', 'Marketing'],
  },
  {
    id: 'org:brightline',
    name: 'Brightline',
    story: 'few credits left, while its budgets are fine',
    owner: CAST.others[1],
    streams: 1,
    units: ['Research', 'Legal'],
  },
  {
    id: 'org:fennel-labs',
    name: 'Fennel Labs',
    story: 'more sessions at once than it may have, so some are refused',
    owner: CAST.others[2],
    streams: 3,
    units: ['Product', 'Data'],
  },
] as const;

/** Three organisations of the users, each in another trouble. */
export function makeOrganisations(people: readonly Person[]): DemoOrganisation[] {
  const users = people
    .filter(({ role, story }) => role === 'user' && story === undefined)
    .sort((a, b) => b.joinedDaysAgo - a.joinedDaysAgo);
  return CASES.map((organisation, index) => ({
    ...organisation,
    members: Array.from(
      { length: Math.min(MEMBERS, users.length) },
      (_, member) => users[(index * MEMBERS + member) % users.length] as Person,
    ),
  }));
}

/** What happened in the organisations. No other has units, so the ids of theirs are known. */
export function makeOrganisationCalls(
  seed: number,
  organisations: readonly DemoOrganisation[],
  now: number,
): PastCall[] {
  let units = 0;
  return organisations.flatMap((organisation, index) => {
    const author = new Author(new SeededRandom(seed + MILLION + index), organisation, units + 1, now);
    units += organisation.units.length;
    return author.write();
  });
}

class Author {
  private readonly calls: PastCall[] = [];
  private readonly founded: number;
  private readonly monthBegan: number;
  private readonly anchorDay: number;

  constructor(
    private readonly random: SeededRandom,
    private readonly organisation: DemoOrganisation,
    private readonly firstUnit: number,
    private readonly now: number,
  ) {
    this.founded = joinedAt(organisation.owner, now) + MINUTE;
    const begin = new Date(now - MONTH_DAYS * DAY);
    // Each month has these days.
    this.anchorDay = Math.min(28, begin.getUTCDate());
    this.monthBegan = Date.UTC(begin.getUTCFullYear(), begin.getUTCMonth(), this.anchorDay);
  }

  write(): PastCall[] {
    const { organisation } = this;
    this.found();
    const calls = this.makeCalls();
    const isNorthwind = organisation.id === 'org:northwind';
    const paid = isNorthwind ? this.withinSupport(calls) : calls;
    const spent = costOf(paid);
    const ofMonth = costOf(paid.filter(({ at }) => at >= this.monthBegan));
    const isBrightline = organisation.id === 'org:brightline';
    this.allocate(spent + (isBrightline ? FEW_CREDITS : 5000));
    // Nine tenths and a little are used, or about a third.
    this.budget({ scope: 'account', unit: 'credits', amount: Math.ceil(ofMonth * (isNorthwind ? 1.08 : 3)) });
    if (isNorthwind)
      this.budget({ scope: 'unit', scopeId: this.unitOf(0), unit: 'credits', amount: SUPPORT_CREDITS });
    if (isBrightline) this.budget({ scope: 'each_member', unit: 'credits', amount: ofMonth });
    if (organisation.id === 'org:fennel-labs') {
      this.budget({ scope: 'account', unit: 'sessions', window: 'lifetime', amount: 2 });
      this.budget({ scope: 'each_member', unit: 'requests', window: 'minute', amount: 6 });
    }
    calls.forEach((call, index) => this.writeCall(call, index));
    return this.calls;
  }

  private found(): void {
    const { id, name, owner, units, members } = this.organisation;
    const create = { hasTooMany: false, accountId: owner.userId, id, name };
    this.calls.push({
      at: this.founded,
      operation: 'organisation_create',
      request: { ...create, actor: this.organisation.owner.userId },
    });
    const by = { actorId: owner.userId, supervises: false };
    for (const unit of units)
      this.add(this.founded + SECOND, 'unit_create', { ...by, name: unit, parentId: null });
    members.forEach(({ userId }, index) => {
      const role = index === 1 ? 'admin' : index === 2 ? 'billing' : 'member';
      this.add(this.founded + 2 * SECOND, 'member_add', {
        ...by,
        userId,
        role,
        unitId: Number(this.unitOf(index)),
      });
    });
  }

  private unitOf(member: number): string {
    return String(this.firstUnit + (member % this.organisation.units.length));
  }

  private allocate(credits: number): void {
    const request = {
      credits,
      expiryDays: LOT_DAYS,
      notes: 'Yearly contract',
      actor: CAST.supervisor.userId,
    };
    this.add(this.founded + 3 * SECOND, 'credit_allocate', request);
  }

  private budget(budget: object): void {
    this.add(this.founded + 4 * SECOND, 'budget_create', {
      ...{ scopeId: null, window: 'month', timeZone: 'UTC', anchorDay: this.anchorDay, mode: 'hard' },
      ...{ alerts: [50, 80, 100], setBy: 'account', actor: this.organisation.owner.userId },
      ...budget,
    });
  }

  private makeCalls(): OrganisationCall[] {
    const { random, now, organisation } = this;
    const calls: OrganisationCall[] = [];
    const today = Math.floor(now / DAY) * DAY;
    for (let day = today - HISTORY_DAYS * DAY; day <= today; day += DAY) {
      const isWeekend = [0, 6].includes(new Date(day).getUTCDay());
      for (let count = random.count(isWeekend ? 3 : WORKDAY_CALLS); count > 0; count--) {
        const at = day + 7 * HOUR + random.integer(0, 12 * HOUR);
        const member = random.integer(0, organisation.members.length - 1);
        const model = random.pick(CHATS);
        const call = { at, member, model, input: random.around(1600), output: random.around(450) };
        const joined = joinedAt(organisation.members[member] as Person, now);
        if (at > Math.max(joined, this.founded + MINUTE) && at < now - HOUR) calls.push(call);
      }
    }
    return calls.sort((a, b) => a.at - b.at);
  }

  /** Of calls those that the budget of the first unit covers: in a month the last of them is made to take its rest. */
  private withinSupport(calls: OrganisationCall[]): OrganisationCall[] {
    let [left, isThisMonth] = [SUPPORT_CREDITS, false];
    return calls.filter((call) => {
      if (call.member % this.organisation.units.length !== 0) return true;
      if (call.at >= this.monthBegan && !isThisMonth) [left, isThisMonth] = [SUPPORT_CREDITS, true];
      const cost = costOf([call]);
      if (cost > left) {
        if (left === 0) return false;
        const output = Math.floor((left * MILLION) / microCredits(call.model.price.output));
        Object.assign(call, { input: 0, output });
      }
      left -= Math.min(left, cost);
      return true;
    });
  }

  private writeCall({ at, member, model, input, output }: OrganisationCall, index: number): void {
    const { random, organisation } = this;
    const { userId } = organisation.members[member] as Person;
    const priced = { modelId: model.id, apiKeyId: null, rejectUnpriced: false, actor: userId };
    const quantities = { input, output };
    // What the budget of the first unit covers is known of charges alone.
    if (member % organisation.units.length === 0 || random.chance(0.3)) {
      const requestId = `${organisation.id.slice(4)}-${index}`;
      const contentHash = createHash('sha256').update(requestId).digest('hex');
      const charge = { ...priced, userId, requestId, contentHash, quantities, serviceTier: 'standard' };
      const rest = { service: 'chat', metadata: {}, billingStatus: 'billed', onInsufficient: 'reject' };
      return this.add(at, 'usage_charge', { ...charge, ...rest });
    }
    const session = { userId, sessionId: `shared-${index.toString(36).padStart(4, '0')}`, actor: userId };
    const estimate = { estimatedInputTokens: input, estimatedOutputTokens: Math.ceil(output * 1.2) };
    const hold = { bufferPercent: 20, leaseSeconds: LEASE_SECONDS };
    this.add(at, 'session_hold', { ...priced, ...session, ...estimate, ...hold });
    this.add(at + Math.round(output / 60 + 1) * SECOND, 'session_settle', {
      ...session,
      ...{ reason: 'finalized', success: true, tokensGenerated: null, quantities, serviceTier: 'standard' },
    });
  }

  private add(at: number, operation: string, request: object): void {
    const accountId = this.organisation.id;
    this.calls.push({ at: Math.round(at), operation, request: { accountId, ...request } });
  }
}

/** Credits for a token, in millionths: whole numbers, so that a sum is exact. */
const microCredits = (price: number): number => Math.round(userPrice(price) * 1000);

function costOf(calls: readonly OrganisationCall[]): number {
  return calls.reduce((sum, { model: { price }, input, output }) => {
    const micros = input * microCredits(price.input) + output * microCredits(price.output);
    return sum + Math.ceil(micros / MILLION);
  }, 0);
}
