import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AccountsService } from '../accounts/accounts.service.js';
import { RouteNotFound } from '../common/errors/request-errors.js';
import { AccountNotFound, ValidationError } from '../common/errors/service-error.js';
import { CallerTurnsGuard } from '../common/http/caller-turns.guard.js';
import { accountIdProblem, isOrganisationId, userIdProblem } from '../common/http/text.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { ACCESS, type Access } from './access.decorator.js';
import {
  AccountRoleRequired,
  ForeignUser,
  OperationClosed,
  PermissionRequired,
  RoleRequired,
  ServiceCallerRequired,
  TokenRequired,
  UserTokenRequired,
} from './auth.errors.js';
import { type AuthenticatedRequest, type Caller, hasRole } from '../common/http/caller.js';

const FOR_SERVICES = [
  {
    field: 'userId',
    message: 'a trusted service names the user by ?userId=, on the same path without the user',
  },
];

/**
 * Lets a caller through to what its route allows, as far as the body does not matter. A route without an access decorator is
 * closed.
 */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const access = accessOf(this.reflector, context);
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    if (access?.kind === 'public') {
      if (access.isThereFor?.(request) === false) throw new RouteNotFound();
      return true;
    }
    const caller = request.user;
    if (!caller) throw request.authenticationError ?? new TokenRequired();
    if (access === undefined) throw new OperationClosed();
    if (access.kind === 'supervisor' || access.kind === 'admin') {
      const served = access.orService && caller.isTrustedService;
      if (!served && !hasRole(caller.role, access.kind)) {
        const isServedThere = access.hasOwnPath && caller.kind === 'internal';
        throw new RoleRequired(access.kind, isServedThere ? FOR_SERVICES : undefined);
      }
    }
    const isServed = access.orService && caller.kind === 'internal';
    if (access.tokenOnly && caller.kind !== 'user' && !isServed) throw new UserTokenRequired();
    requirePermission(caller, access);
    const isForServices =
      access.kind === 'service' || (access.metering && this.config.meteringCallers === 'service');
    if (isForServices && !caller.isTrustedService) {
      throw new ServiceCallerRequired();
    }
    return true;
  }
}

/**
 * The rest, which needs the body: a request names one user and one account, the caller may act for that user, the user may do
 * this on that account, and a trusted service takes the user's turn.
 */
@Injectable()
export class NamedUserGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly turns: CallerTurnsGuard,
    private readonly accounts: AccountsService,
  ) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const caller = request.user;
    if (caller === undefined) return true;
    requireOne('userId', request);
    const access = accessOf(this.reflector, context);
    if (access?.kind !== 'self') return true;
    requireOne('accountId', request);
    const acting = onWhoseAccount(request, caller, access);
    request.user = acting;
    const isServed = acting.userId !== caller.userId;
    if (acting.accountId === acting.userId || access.account === 'spend') {
      return isServed ? this.turns.canActivate(context) : true;
    }
    return this.inOrganisation(acting, access).then((seeing) => {
      request.user = seeing;
      return isServed ? this.turns.canActivate(context) : true;
    });
  }

  /** What a user sees of an organisation. @throws AccountNotFound, AccountRoleRequired */
  private async inOrganisation(caller: Caller, { account }: Access): Promise<Caller> {
    const role = await this.accounts.memberRole(caller.accountId, caller.userId);
    const isOfPlatform = hasRole(caller.role, 'supervisor');
    if (role === undefined && !isOfPlatform) throw new AccountNotFound();
    const manages = isOfPlatform || role === 'owner' || role === 'admin';
    const oversees = manages || role === 'billing';
    if ((account === 'oversight' && !oversees) || (account === 'manage' && !manages)) {
      throw new AccountRoleRequired();
    }
    const isOrganisation = isOrganisationId(caller.accountId);
    return { ...caller, sees: oversees ? 'all' : 'own', manages: manages && isOrganisation };
  }
}

function accessOf(reflector: Reflector, context: ExecutionContext): Access | undefined {
  return reflector.getAllAndOverride<Access | undefined>(ACCESS, [context.getHandler(), context.getClass()]);
}

/** What a key has not been allowed it may not do, and what no permission is for, no key may do. */
function requirePermission(caller: Caller, access: Access): void {
  if (caller.permissions === null) return;
  if (access.permission === undefined) throw new UserTokenRequired();
  if (!caller.permissions.includes(access.permission)) throw new PermissionRequired(access.permission);
}

/** Refuses two different users or accounts in one request: which of them counts must not depend on the reader. */
function requireOne(field: 'userId' | 'accountId', { params, query, body }: AuthenticatedRequest): void {
  const inBody = (body as Record<string, unknown> | null | undefined)?.[field];
  const named = [params[field], query[field], inBody].filter((id) => (id ?? undefined) !== undefined);
  if (named.some((id) => id !== named[0])) {
    throw new ValidationError([{ field, message: 'must be the same in path, query and body' }]);
  }
}

/** The caller with the user and the account it acts for: its own, or those that it names. */
function onWhoseAccount(request: AuthenticatedRequest, caller: Caller, { account }: Access): Caller {
  const acting = forUser(request, caller);
  const body = request.body as { accountId?: unknown } | undefined;
  const named = body?.accountId ?? request.query.accountId ?? undefined;
  if (named === undefined || named === acting.accountId) return acting;
  const problem = accountIdProblem(named);
  if (problem !== undefined) throw new ValidationError([{ field: 'accountId', message: problem }]);
  // A key spends from its own account, and a user from no other user's; but supervisors see every account.
  const isPossible =
    caller.apiKeyId === null &&
    (isOrganisationId(named as string) || (account !== 'spend' && hasRole(caller.role, 'supervisor')));
  if (!isPossible) throw new AccountNotFound();
  return { ...acting, accountId: named as string };
}

function forUser(request: AuthenticatedRequest, caller: Caller): Caller {
  const body = request.body as { userId?: unknown } | undefined;
  for (const named of [body?.userId, request.query.userId]) {
    if (named === undefined || named === null) continue;
    const problem = userIdProblem(named);
    if (problem !== undefined) throw new ValidationError([{ field: 'userId', message: problem }]);
    if (caller.kind === 'internal') {
      return { ...caller, userId: named as string, accountId: named as string };
    }
    if (named !== caller.userId) throw new ForeignUser();
  }
  if (caller.kind !== 'internal') return caller;
  throw new ValidationError([
    { field: 'userId', message: 'must name the user when no user token is forwarded' },
  ]);
}
