import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';
import { ValidationError } from '../common/errors/service-error.js';
import { idProblem } from '../common/http/text.js';
import { MODEL_ID_LENGTH } from '../common/http/validators.js';

/** The rest of a path as a model id: it may contain slashes, which the router takes for segments. */
export const ModelIdParam = createParamDecorator((_: unknown, context: ExecutionContext): string => {
  const { id: segments } = context.switchToHttp().getRequest<Request>().params;
  const modelId = Array.isArray(segments) ? segments.join('/') : segments;
  const problem = idProblem(modelId, MODEL_ID_LENGTH);
  if (problem !== undefined) throw new ValidationError([{ field: 'modelId', message: problem }]);
  return modelId as string;
});
