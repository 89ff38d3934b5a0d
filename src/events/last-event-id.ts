import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';
import { ValidationError } from '../common/errors/service-error.js';

/** The `Last-Event-ID` header, or undefined. */
export const LastEventId = createParamDecorator(
  (_: unknown, context: ExecutionContext): number | undefined => {
    const header = context.switchToHttp().getRequest<Request>().headers['last-event-id'];
    if (header === undefined) return undefined;
    if (typeof header === 'string' && /^\d{1,15}$/.test(header)) return Number(header);
    throw new ValidationError([{ field: 'Last-Event-ID', message: 'must be the id of an event' }]);
  },
);
