import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { AuthenticatedRequest, Caller, Role } from './caller.js';

/** Who makes a change, and from where: what the activity log keeps of it. */
export interface Origin {
  /** As the ledger names it: a user's id, or `service:…`. */
  readonly actor: string;
  readonly role: Role | 'service';
  /** Where the request came from, as the nearest proxy sees it; null for a program on this machine. */
  readonly address: string | null;
  /** By which the log of the service has the request. */
  readonly requestId: string | null;
}

/** A caller who changes something. Services take one wherever the change belongs into the activity log. */
export interface Author extends Caller {
  readonly origin: Origin;
}

/** The authenticated caller of a route that changes something. */
export const CurrentAuthor = createParamDecorator((_: unknown, context: ExecutionContext): Author => {
  const request = context.switchToHttp().getRequest<AuthenticatedRequest & { id?: string }>();
  const { user } = request;
  if (user === undefined) throw new Error('CurrentAuthor on a route without a caller');
  const origin = {
    actor: user.actor,
    role: user.kind === 'internal' ? ('service' as const) : user.role,
    address: request.ip ?? null,
    requestId: request.id ?? null,
  };
  return { ...user, origin };
});
