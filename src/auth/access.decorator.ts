import { applyDecorators, createParamDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common';
import { ApiBearerAuth, ApiQuery, ApiSecurity } from '@nestjs/swagger';
import type { Request } from 'express';
import { AccountNotFound, ServiceUnavailable } from '../common/errors/service-error.js';
import { TooManyAtOnce } from '../common/http/caller-turns.guard.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { RateLimited } from '../common/http/rate-limit.js';
import {
  AccountRoleRequired,
  AmbiguousCredentials,
  ApiKeyAsToken,
  ForeignUser,
  InvalidApiKey,
  InvalidInternalKey,
  InvalidToken,
  InvalidTokenType,
  KeysUnavailable,
  PermissionRequired,
  ProviderUnavailable,
  RoleRequired,
  ServiceCallerRequired,
  TokenExpired,
  TokenRequired,
  UserTokenRequired,
} from './auth.errors.js';
import { ID_PATTERN, USER_ID_LENGTH } from '../common/http/text.js';
import type { AuthenticatedRequest, Caller, Permission } from '../common/http/caller.js';

export const ACCESS = 'access';

export interface Access {
  /**
   * `public`: anyone. `caller`: any authenticated caller. `self`: a user on their own account, or a trusted service
   * that names the user. `supervisor`, `admin`: that role or a higher one. `service`: trusted services only.
   */
  readonly kind: 'public' | 'caller' | 'self' | 'supervisor' | 'admin' | 'service';
  /** What an API key needs for it; without one, no API key may. */
  readonly permission?: Permission;
  /** Only by an access token of the user's own: neither an API key nor a service alone. */
  readonly tokenOnly?: boolean;
  /** A trusted service may too. */
  readonly orService?: boolean;
  /** For other requests a public route does not exist. */
  readonly isThereFor?: (request: Request) => boolean;
  /** The same path without the user is the user's own, and a trusted service may use it. */
  readonly hasOwnPath?: boolean;
  /**
   * What a member of an organisation needs there. `spend`: the movement itself asks whether the user is a member. `own`
   * (the default): members see what is theirs, and owners, admins and billing people everything. `oversight`: those only.
   * `manage`: owners and admins only.
   */
  readonly account?: 'spend' | 'own' | 'oversight' | 'manage';
  /** A metering route: with METERING_CALLERS=service only a trusted service may call it. */
  readonly metering?: boolean;
}

/** Open to everyone, on purpose; for a request that `isThereFor` refuses the route does not exist. */
export const Public = (isThereFor: (request: Request) => boolean = () => true) =>
  SetMetadata(ACCESS, { kind: 'public', isThereFor } satisfies Access);

/** What any route with a caller can answer, beside what its access needs. */
const ApiCallerProblems = (...problems: Parameters<typeof ApiProblems>) =>
  ApiProblems(
    ...problems,
    TokenRequired,
    InvalidToken,
    ApiKeyAsToken,
    InvalidTokenType,
    TokenExpired,
    InvalidApiKey,
    InvalidInternalKey,
    AmbiguousCredentials,
    RateLimited,
    TooManyAtOnce,
    ServiceUnavailable,
    KeysUnavailable,
    ProviderUnavailable,
  );

/** Any authenticated caller; nothing of a particular user is touched. */
export const CallerAccess = (permission: Permission) =>
  applyDecorators(
    SetMetadata(ACCESS, { kind: 'caller', permission } satisfies Access),
    ApiBearerAuth(),
    ApiSecurity('api-key'),
    ApiSecurity('internal'),
    ApiCallerProblems(new PermissionRequired(permission)),
  );

const ACCOUNT_IN_QUERY = ApiQuery({
  name: 'accountId',
  required: false,
  description: 'The account: an organisation of the user; if omitted, the user’s personal account',
  schema: { type: 'string', minLength: 1, maxLength: USER_ID_LENGTH, pattern: ID_PATTERN },
});
const NAMED_IN_QUERY = [
  ApiQuery({
    name: 'userId',
    required: false,
    description: 'The user to act for; required from a trusted service that does not forward a user’s token',
    schema: { type: 'string', minLength: 1, maxLength: USER_ID_LENGTH, pattern: ID_PATTERN },
  }),
  ACCOUNT_IN_QUERY,
];

interface SelfAccessOptions extends Pick<Access, 'account' | 'metering'> {
  userIdIn?: 'body';
}

/**
 * A user on their own account. A trusted service names the user in `userId` (query, or body where the body has it) or
 * forwards the user's token.
 */
export const SelfAccess = (
  permission: Permission,
  { metering = false, account = metering ? 'spend' : 'own', userIdIn }: SelfAccessOptions = {},
) =>
  applyDecorators(
    SetMetadata(ACCESS, { kind: 'self', permission, metering, account } satisfies Access),
    ApiBearerAuth(),
    ApiSecurity('api-key'),
    ApiSecurity('internal'),
    ...(userIdIn === 'body' ? [] : NAMED_IN_QUERY),
    ApiCallerProblems(
      new PermissionRequired(permission),
      ForeignUser,
      AccountNotFound,
      ...(account === 'oversight' ? [AccountRoleRequired] : []),
      ...(metering ? [ServiceCallerRequired] : []),
    ),
  );

/** A user on their own account, or on one that they manage, by their own token. */
export const OwnerAccess = () =>
  applyDecorators(
    SetMetadata(ACCESS, { kind: 'self', tokenOnly: true, account: 'manage' } satisfies Access),
    ApiBearerAuth(),
    ACCOUNT_IN_QUERY,
    ApiCallerProblems(UserTokenRequired, ForeignUser, AccountNotFound, AccountRoleRequired),
  );

/** An account of the user's, by their own token; supervisors and admins on any account. */
export const AccountAccess = (account: 'own' | 'manage') =>
  applyDecorators(
    SetMetadata(ACCESS, { kind: 'self', tokenOnly: true, account } satisfies Access),
    ApiBearerAuth(),
    ApiCallerProblems(
      UserTokenRequired,
      AccountNotFound,
      ...(account === 'manage' ? [AccountRoleRequired] : []),
    ),
  );

/** A user on their own account by their own token, or a trusted service that names the user; no API key. */
export const OwnerOrServiceAccess = (options: { userIdIn?: 'body' } = {}) =>
  applyDecorators(
    SetMetadata(ACCESS, { kind: 'self', tokenOnly: true, orService: true } satisfies Access),
    ApiBearerAuth(),
    ApiSecurity('internal'),
    ...(options.userIdIn === 'body' ? [] : NAMED_IN_QUERY),
    ApiCallerProblems(UserTokenRequired, ForeignUser, AccountNotFound),
  );

/** Any user, by their own token; what they get to see is the operation's to decide. */
export const TokenAccess = () =>
  applyDecorators(
    SetMetadata(ACCESS, { kind: 'caller', tokenOnly: true } satisfies Access),
    ApiBearerAuth(),
    ApiCallerProblems(UserTokenRequired),
  );

/** Supervisors or admins only, by their own token; with `orService` trusted services too. */
export const RoleAccess = (
  role: 'supervisor' | 'admin',
  { orService = false, hasOwnPath = false }: Pick<Access, 'orService' | 'hasOwnPath'> = {},
) =>
  applyDecorators(
    SetMetadata(ACCESS, { kind: role, orService, hasOwnPath } satisfies Access),
    ApiBearerAuth(),
    ...(orService ? [ApiSecurity('internal')] : []),
    ApiCallerProblems(new RoleRequired(role), ...(orService ? [UserTokenRequired] : [])),
  );

/** Trusted services only. */
export const ServiceAccess = () =>
  applyDecorators(
    SetMetadata(ACCESS, { kind: 'service' } satisfies Access),
    ApiSecurity('internal'),
    ApiCallerProblems(ServiceCallerRequired, UserTokenRequired),
  );

/** The authenticated caller. */
export const CurrentCaller = createParamDecorator((_: unknown, context: ExecutionContext): Caller => {
  const { user } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  if (user === undefined) throw new Error('CurrentCaller on a route without a caller');
  return user;
});
