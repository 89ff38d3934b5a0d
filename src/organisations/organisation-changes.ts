import { Injectable } from '@nestjs/common';
import type { Originated } from '../common/database/activity.js';
import { Changes, type Once } from '../common/database/changes.js';
import {
  type AccountRequest,
  type Ok,
  type Operation,
  operation,
  type Refused,
} from '../common/database/database.js';
import {
  IdempotencyMismatch,
  type ServiceError,
  ServiceUnavailable,
  ValidationError,
} from '../common/errors/service-error.js';
import type { Author } from '../common/http/author.js';
import { type Caller, hasRole, idempotencyScope } from '../common/http/caller.js';
import { idempotencyOf, type Idempotency } from '../common/http/idempotency.js';
import {
  MemberExists,
  MemberNotFound,
  OrganisationArchived,
  OrganisationIdTaken,
  OrganisationNotFound,
  OrganisationOwnerRequired,
  OrganisationRoleRequired,
  OrganisationSessionsActive,
  TooManyMembers,
  TooManyOrganisations,
  TooManyUnits,
  UnitHasPlatformBudget,
  UnitNameTaken,
  UnitNotEmpty,
  UnitNotFound,
} from './organisations.errors.js';

const parentProblem = (message: string) => new ValidationError([{ field: 'parentId', message }]);

/** By the outcome of an operation that has changed nothing. */
const REFUSALS = {
  not_found: () => new OrganisationNotFound(),
  role_required: () => new OrganisationRoleRequired(),
  id_taken: () => new OrganisationIdTaken(),
  too_many: () => new TooManyOrganisations(),
  archived: () => new OrganisationArchived(),
  sessions_active: () => new OrganisationSessionsActive(),
  owner_required: () => new OrganisationOwnerRequired(),
  member_not_found: () => new MemberNotFound(),
  already_member: () => new MemberExists(),
  too_many_members: () => new TooManyMembers(),
  unit_not_found: () => new UnitNotFound(),
  parent_not_found: () => new UnitNotFound('parentId'),
  too_deep: () => parentProblem('must leave the units on at most 5 levels'),
  cycle: () => parentProblem('must be neither the unit itself nor a unit below it'),
  name_taken: () => new UnitNameTaken(),
  not_empty: () => new UnitNotEmpty(),
  has_platform_budget: () => new UnitHasPlatformBudget(),
  too_many_units: () => new TooManyUnits(),
  idempotency_mismatch: () => new IdempotencyMismatch(),
} satisfies Record<string, () => ServiceError>;

type Answered<Answer> = (Ok<Answer> & { replayed?: true }) | Refused<keyof typeof REFUSALS>;

/** Who asks for a change: the operations themselves see what the user may do, under the account's lock. */
interface Asked extends AccountRequest, Originated {
  actorId: string;
  supervises: boolean;
}

type Change<Request extends object, Answer> = Operation<Request, Answered<Answer>>;
export type OrganisationChange<Request extends object, Answer> = Change<Request & Asked, Answer>;

/** An operation that changes an organisation. */
export function organisationChange<Request extends object, Answer = object>(
  name: `organisation_${string}` | `member_${string}` | `unit_${string}`,
): OrganisationChange<Request, Answer> {
  return operation<Request & Asked, Answered<Answer>>(name);
}

/** Changes of one organisation come one after the other. */
@Injectable()
export class OrganisationChanges {
  constructor(private readonly changes: Changes) {}

  /**
   * @param request or what makes it when its turn has come
   * @throws what the operation's outcomes say (REFUSALS)
   */
  async run<Request extends object, Answer>(
    change: OrganisationChange<Request, Answer>,
    caller: Author,
    accountId: string,
    request: Request | (() => Promise<Request>),
  ): Promise<Once<Answer>> {
    const asked = {
      accountId,
      actorId: caller.userId,
      supervises: supervises(caller),
      origin: caller.origin,
    };
    const answer = await this.changes.call(`organisations:${accountId}`, change, async () => ({
      ...(typeof request === 'function' ? await request() : request),
      ...asked,
    }));
    if (answer.outcome !== 'ok') throw (REFUSALS[answer.outcome] ?? (() => new ServiceUnavailable()))();
    return { answer, replayed: answer.replayed ?? false };
  }

  /** The same, carried out once under its idempotency key. */
  once<Request extends object, Answer>(
    change: OrganisationChange<Request & Idempotency, Answer>,
    caller: Author,
    accountId: string,
    request: Request,
    key: string | null,
  ): Promise<Once<Answer>> {
    const once = idempotencyOf(idempotencyScope(caller), change.name, key, request);
    return this.run(change, caller, accountId, { ...request, ...once });
  }
}

/** Whether the caller looks after every organisation. */
export function supervises({ role }: Caller): boolean {
  return hasRole(role, 'supervisor');
}
