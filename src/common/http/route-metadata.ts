import { Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';

type Targets = Parameters<Reflector['getAllAndOverride']>[1];

/**
 * What the decorators of routes say, looked up once for each route: the guard of the rate limit alone reads six values for
 * every request. No two controllers share a handler.
 */
@Injectable()
export class RouteMetadata extends Reflector {
  private readonly known = new WeakMap<object, Map<unknown, unknown>>();

  /** @param targets a route's handler and, when it is looked at too, its controller */
  override getAllAndOverride<Value>(key: unknown, targets: Targets): Value {
    const [handler] = targets as [Targets[0]];
    let values = this.known.get(handler);
    if (values === undefined) this.known.set(handler, (values = new Map()));
    if (!values.has(key)) values.set(key, super.getAllAndOverride(key, targets));
    return values.get(key) as Value;
  }
}
