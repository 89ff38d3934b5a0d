import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import { map, type Observable } from 'rxjs';
import { type AuthenticatedRequest, type Caller, hasRole } from '../common/http/caller.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';

/** What calls cost at the provider is the platform's own business: users see it only where the operator says so. */
export function seesProviderCost(caller: Caller, { showProviderCostToUsers }: AppConfig): boolean {
  return (
    showProviderCostToUsers ||
    caller.kind === 'internal' ||
    (caller.kind === 'user' && hasRole(caller.role, 'supervisor'))
  );
}

/** What callers wrote themselves; it may have any names. */
const OWN_WORDS = new Set(['metadata', 'tags']);

/** A copy of an answer in which each field that begins with `providerCost` is null. */
export function withoutProviderCost<Answer>(answer: Answer): Answer {
  if (Array.isArray(answer)) return answer.map(withoutProviderCost) as Answer;
  if (typeof answer !== 'object' || answer === null || answer instanceof Date) return answer;
  return Object.fromEntries(
    Object.entries(answer).map(([name, value]: [string, unknown]) => [
      name,
      name.startsWith('providerCost') ? null : OWN_WORDS.has(name) ? value : withoutProviderCost(value),
    ]),
  ) as Answer;
}

@Injectable()
class ProviderCostInterceptor implements NestInterceptor {
  constructor(@Inject(APP_CONFIG) private readonly config: AppConfig) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { user } = context.switchToHttp().getRequest<AuthenticatedRequest>();
    if (user !== undefined && seesProviderCost(user, this.config)) return next.handle();
    return next.handle().pipe(map(withoutProviderCost));
  }
}

/** On routes whose JSON answers contain provider costs; test/pricing/provider-cost.spec.ts finds a route without it. */
export const HidesProviderCost = () => UseInterceptors(ProviderCostInterceptor);
