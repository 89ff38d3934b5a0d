import type { PipeTransform } from '@nestjs/common';
import { ValidationError } from '../common/errors/service-error.js';
import { idProblem } from '../common/http/text.js';
import { MODEL_ID_LENGTH } from '../common/http/validators.js';

/** A model id from the rest of a path: the router gives its segments, as a list or joined by commas or slashes. */
export class ModelIdPipe implements PipeTransform<unknown, string> {
  transform(value: unknown): string {
    const modelId = Array.isArray(value) ? value.join('/') : value;
    const problem = idProblem(modelId, MODEL_ID_LENGTH);
    if (problem !== undefined) throw new ValidationError([{ field: 'modelId', message: problem }]);
    return modelId as string;
  }
}
