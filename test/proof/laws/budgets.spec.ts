import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpClient } from '../../support/http-client.js';
import { expectSoundBooks, SONNET } from '../../support/money.js';
import { organisation, patch, type TestOrganisation } from '../../support/organisations.js';
import { startService, type TestService } from '../../support/service.js';

/**
 * Random holds, progress, settlements, charges, raises, changed amounts, members and units that move, days that end and clocks
 * that are set back, against the service and against a model of the budgets: after each step the answer and what every budget has used and held must agree.
 */
const RUNS = Number(process.env.PROPERTY_RUNS ?? 40);

let service: TestService;
let second: TestService;
beforeAll(async () => {
  service = await startService();
  second = await service.another();
});
afterAll(async () => {
  await expectSoundBooks(service);
  await second.close();
  await service.close();
});

type Unit = 'credits' | 'tokens' | 'requests' | 'sessions';
type Amounts = Record<Unit, number>;
interface Budget {
  id: number;
  unit: Unit;
  window: 'day' | 'lifetime';
  amount: number;
  /** By the period's key. */
  raises: Map<string, number>;
  appliesTo: (call: Call) => boolean;
  isEach: boolean;
}
interface Call {
  user: number;
  /** The user's unit and those above it. */
  units: number[];
  isTagged: boolean;
}
interface Period {
  key: string;
  budget: Budget;
}
interface Session {
  periods: Period[];
  estimate: number;
  held: Amounts;
  generated: number;
}

const creditsOf = (tokens: number) => Math.ceil((tokens * 3) / 1000 - 1e-9);
const buffered = (count: number) => Math.ceil((count * 120) / 100 - 1e-9);

class Model {
  day = 0;
  readonly counts = new Map<string, { used: number; held: number }>();
  readonly sessions = new Map<string, Session>();

  constructor(readonly budgets: Budget[]) {}

  periodOf(budget: Budget, user: number): Period {
    const day = budget.window === 'day' ? this.day : 'ever';
    return { key: `${budget.id} ${budget.isEach ? user : ''} ${day}`, budget };
  }

  countsOf({ key }: Period) {
    const known = this.counts.get(key) ?? { used: 0, held: 0 };
    this.counts.set(key, known);
    return known;
  }

  roomOf(period: Period): number {
    const { used, held } = this.countsOf(period);
    return period.budget.amount + (period.budget.raises.get(period.key) ?? 0) - used - held;
  }

  periodsFor(call: Call): Period[] {
    return this.budgets
      .filter((budget) => budget.appliesTo(call))
      .map((budget) => this.periodOf(budget, call.user));
  }

  /** The status of a call that needs so much. */
  decide(periods: Period[], need: Amounts): 201 | 402 | 429 {
    const inTheWay = periods.filter(
      (period) => need[period.budget.unit] > 0 && need[period.budget.unit] > this.roomOf(period),
    );
    if (inTheWay.length === 0) return 201;
    return inTheWay.some(({ budget }) => budget.unit === 'credits') ? 402 : 429;
  }

  add(periods: Period[], held: Amounts, used: Amounts): void {
    for (const period of periods) {
      const counts = this.countsOf(period);
      counts.held += held[period.budget.unit];
      counts.used += used[period.budget.unit];
    }
  }
}

const NOTHING: Amounts = { credits: 0, tokens: 0, requests: 0, sessions: 0 };
const negated = (amounts: Amounts): Amounts =>
  Object.fromEntries(Object.entries(amounts).map(([unit, count]) => [unit, 0 - count])) as unknown as Amounts;

type Command =
  | { do: 'hold' | 'charge'; user: number; tokens: number; isTagged: boolean }
  | { do: 'progress' | 'finalize'; at: number; tokens: number }
  | { do: 'raise' | 'amend'; budget: number; amount: number }
  | { do: 'move'; user: number; unit: number }
  | { do: 'moveTeam'; below: number }
  | { do: 'endDay' | 'setClockBack' };

const tokens = fc.constantFrom(100, 334, 1000, 2500);
const user = fc.nat(2);
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('hold' as const), user, tokens, isTagged: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('progress' as const), at: fc.nat(9), tokens }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('finalize' as const), at: fc.nat(9), tokens }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('charge' as const), user, tokens, isTagged: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('raise' as const, 'amend' as const),
      budget: fc.nat(6),
      amount: fc.constantFrom(1, 5, 20),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('move' as const), user, unit: fc.nat(2) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('moveTeam' as const), below: fc.constantFrom(0, 2) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('endDay' as const, 'setClockBack' as const) }) },
);

/** An organisation with units 0 > 1 and 2, three members in them, and budgets on every level. */
class World {
  readonly unitOf = [0, 1, 2];
  private teamIsBelow = 0;
  private serial = 0;

  private constructor(
    readonly acme: TestOrganisation,
    readonly units: number[],
    readonly users: HttpClient[],
    readonly model: Model,
  ) {}

  static async make(): Promise<World> {
    const acme = await organisation(service);
    await acme.allocate(1_000_000);
    const top = await acme.unit('top');
    const units = [top, await acme.unit('team', top), await acme.unit('other')];
    const users = [];
    for (const unitId of units) users.push(await acme.member('member', { unitId }));
    const kinds: [object, Unit, 'day' | 'lifetime', number, Budget['appliesTo'], boolean?][] = [
      [{ scope: 'account' }, 'credits', 'lifetime', 60, () => true],
      [{ scope: 'unit', scopeId: String(top) }, 'credits', 'day', 20, ({ units: path }) => path.includes(0)],
      [
        { scope: 'unit', scopeId: String(units[1]) },
        'tokens',
        'day',
        5000,
        ({ units: path }) => path.includes(1),
      ],
      [{ scope: 'each_member' }, 'credits', 'day', 12, () => true, true],
      [{ scope: 'member', scopeId: users[0]?.userId }, 'requests', 'day', 4, (call) => call.user === 0],
      [{ scope: 'tag', scopeId: 'feature=search' }, 'credits', 'day', 9, ({ isTagged }) => isTagged],
      [{ scope: 'account' }, 'sessions', 'lifetime', 4, () => true],
    ];
    const budgets: Budget[] = [];
    for (const [scope, unit, window, amount, appliesTo, isEach = false] of kinds) {
      const id = await acme.budget({ ...scope, unit, amount, ...(unit === 'sessions' ? {} : { window }) });
      budgets.push({ id, unit, window, amount, raises: new Map(), appliesTo, isEach });
    }
    return new World(acme, units, users, new Model(budgets));
  }

  async run(step: Command): Promise<void> {
    const { acme, model } = this;
    switch (step.do) {
      case 'hold':
      case 'charge':
        return this.spend(step.do, step.user, step.tokens, step.isTagged);
      case 'progress':
      case 'finalize': {
        const [name, session] = [...model.sessions][step.at % Math.max(model.sessions.size, 1)] ?? [];
        if (name === undefined || session === undefined) return;
        return step.do === 'progress'
          ? this.progress(name, session, step.tokens)
          : this.finalize(name, session, step.tokens);
      }
      case 'raise': {
        const budget = model.budgets[step.budget] as Budget;
        const memberId = budget.isEach ? this.users[0]?.userId : undefined;
        const raised = await acme.owner.post(`/api/budgets/${budget.id}/raises`, {
          ...{ accountId: acme.id, memberId, amount: step.amount, reason: 'r' },
        });
        expect(raised.status, raised.text).toBe(201);
        const { key } = model.periodOf(budget, 0);
        budget.raises.set(key, (budget.raises.get(key) ?? 0) + step.amount);
        return;
      }
      case 'amend': {
        const budget = model.budgets[step.budget] as Budget;
        budget.amount = step.amount;
        const changed = await patch(acme.owner, `/api/budgets/${budget.id}`, {
          ...{ accountId: acme.id, amount: step.amount },
        });
        expect(changed.status, changed.text).toBe(200);
        return;
      }
      case 'move': {
        const path = `${acme.path}/members/${this.users[step.user]?.userId}`;
        expect((await patch(acme.owner, path, { unitId: this.units[step.unit] })).status).toBe(200);
        this.unitOf[step.user] = step.unit;
        return;
      }
      case 'moveTeam': {
        const path = `${acme.path}/units/${this.units[1]}`;
        expect((await patch(acme.owner, path, { parentId: this.units[step.below] })).status).toBe(200);
        this.teamIsBelow = step.below;
        return;
      }
      case 'setClockBack':
        // Periods that have begun are of a time to come.
        await service.owner.query(
          `UPDATE budget_periods SET starts_at = starts_at + make_interval(days => 1000 + $2),
                  ends_at = ends_at + make_interval(days => 1000 + $2)
            WHERE account_id = $1 AND ends_at > now() AND starts_at <= now() AND isfinite(ends_at)`,
          [acme.id, model.day],
        );
        model.day++;
        return;
      case 'endDay':
        // Periods that end earlier begin earlier.
        await service.owner.query(
          `UPDATE budget_periods SET starts_at = starts_at - make_interval(days => 1000 - $2), ends_at = now()
            WHERE account_id = $1 AND ends_at > now() AND starts_at <= now() AND isfinite(ends_at)`,
          [acme.id, model.day],
        );
        model.day++;
    }
  }

  private unitsOf(user: number): number[] {
    const unit = this.unitOf[user] as number;
    return unit === 1 ? [this.teamIsBelow, unit] : [unit];
  }

  /** Requests go to one instance and to the other in turn. */
  private client(user: number): HttpClient {
    const { userId } = this.users[user] as HttpClient;
    return (this.serial++ % 2 === 0 ? service : second).as(userId);
  }

  private async spend(
    what: 'hold' | 'charge',
    user: number,
    count: number,
    isTagged: boolean,
  ): Promise<void> {
    const { acme, model } = this;
    const isHold = what === 'hold';
    const name = `${isHold ? 's' : 'c'}${user}-${this.serial}`;
    const credits = isHold ? buffered(creditsOf(count)) : creditsOf(count);
    const need = { credits, tokens: count, requests: 1, sessions: isHold ? 1 : 0 };
    const periods = model.periodsFor({ user, units: this.unitsOf(user), isTagged });
    const expected = model.decide(periods, need);
    const body = { accountId: acme.id, modelId: SONNET, ...(isTagged && { tags: { feature: 'search' } }) };
    const answer = isHold
      ? await this.client(user).post('/api/streaming-sessions/initialize', {
          ...{ ...body, sessionId: name, estimatedTokens: count },
        })
      : await this.client(user).post('/api/usage/charge', { ...body, requestId: name, tokens: count });
    expect(answer.status, answer.text).toBe(expected);
    if (expected !== 201) return;
    if (!isHold) return model.add(periods, NOTHING, need);
    model.add(periods, need, NOTHING);
    model.sessions.set(name, { periods, estimate: creditsOf(count), held: need, generated: 0 });
  }

  private async progress(name: string, session: Session, count: number): Promise<void> {
    const { acme, model } = this;
    const roomFor = (unit: Unit) =>
      Math.min(
        ...session.periods.filter(({ budget }) => budget.unit === unit).map((period) => model.roomOf(period)),
        Infinity,
      );
    session.generated = Math.max(session.generated, count);
    const missing = buffered(creditsOf(session.generated)) - session.held.credits;
    const wanted = missing > 0 ? Math.max(missing, Math.ceil(session.estimate * 0.2)) : 0;
    const grow = Math.max(Math.min(wanted, roomFor('credits')), 0);
    const missingTokens = buffered(session.generated) - session.held.tokens;
    const hasTokens = session.periods.length > 0;
    const growTokens = hasTokens ? Math.max(Math.min(missingTokens, roomFor('tokens')), 0) : 0;
    const answer = await this.client(Number(name[1])).post('/api/streaming-sessions/progress', {
      ...{ accountId: acme.id, sessionId: name, tokensGenerated: count },
    });
    expect(answer.status, answer.text).toBe(200);
    expect(answer.body.shouldStop, answer.text).toBe(missing > grow || missingTokens > growTokens);
    model.add(session.periods, { ...NOTHING, credits: grow, tokens: growTokens }, NOTHING);
    session.held = {
      ...session.held,
      credits: session.held.credits + grow,
      tokens: session.held.tokens + growTokens,
    };
  }

  private async finalize(name: string, session: Session, count: number): Promise<void> {
    const { acme, model } = this;
    const credits = creditsOf(count);
    const above: Amounts = {
      ...NOTHING,
      credits: Math.max(credits - session.held.credits, 0),
      tokens: Math.max(count - session.held.tokens, 0),
    };
    model.add(session.periods, negated(session.held), { ...NOTHING, credits, tokens: count, requests: 1 });
    model.sessions.delete(name);
    const overrun = session.periods
      .map((period) => ({
        budgetId: period.budget.id,
        by: Math.min(0 - model.roomOf(period), above[period.budget.unit]),
      }))
      .filter(({ by }) => by > 0)
      .sort((one, other) => one.budgetId - other.budgetId);
    const answer = await this.client(Number(name[1])).post('/api/streaming-sessions/finalize', {
      ...{ accountId: acme.id, sessionId: name, actualTokens: count },
    });
    expect(answer.body.overrun, answer.text).toEqual(overrun);
  }

  /** What every budget says beside what the model says. */
  async agree(): Promise<void> {
    const { acme, model } = this;
    for (const [index, { userId }] of this.users.entries()) {
      const query = `accountId=${acme.id}&memberId=${userId}&limit=200`;
      const { items } = (
        await acme.owner.get<{ items: { id: number; used: number; held: number }[] }>(`/api/budgets?${query}`)
      ).body;
      for (const { id, used, held } of items) {
        const budget = model.budgets.find((each) => each.id === id) as Budget;
        expect({ id, used, held }).toEqual({ id, ...model.countsOf(model.periodOf(budget, index)) });
      }
    }
  }
}

describe('budgets', () => {
  it('decide, count and say what the model does, whatever happens in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 10, maxLength: 40 }), async (steps) => {
        const world = await World.make();
        for (const step of steps) {
          await world.run(step);
          await world.agree();
        }
      }),
      { numRuns: RUNS, ...(process.env.PROPERTY_SEED ? { seed: Number(process.env.PROPERTY_SEED) } : {}) },
    );
  }, 300_000);
});
