import { applyDecorators } from '@nestjs/common';
import {
  CountsField,
  describeCounts,
  EnumField,
  MetadataField,
  TokensField,
  Together,
} from '../../common/http/validators.js';
import { SEARCH_CONTEXT_SIZES } from '../call.js';
import { CLASS_NAMES, SERVICE_TIERS } from '../price-classes.js';
import { PROVIDERS } from '../provider-usage.js';

/** How much of each class a call used; classes that it did not use may be left out. */
export class QuantitiesDto {}
describeCounts(QuantitiesDto, CLASS_NAMES);

/** In place of token counts: what a call used of each class, or the provider's own account of it. */
export const CALL_FORMS = [{ required: ['quantities'] }, { required: ['provider', 'usage'] }];

/** What describes a finished call beside its token counts; `counts` names the fields of those. */
export function CallField(counts: readonly string[]) {
  const alone = (field: string, others: readonly string[]) =>
    Together(`${field}Alone`, (request: Record<string, unknown>) => {
      const other = others.find((name) => request[name] !== undefined);
      return other === undefined ? undefined : `cannot be given together with ${other}`;
    });
  return {
    quantities: CountsField(QuantitiesDto, CLASS_NAMES, [...counts, 'usage', 'provider'], {
      description:
        'What the call used, by class, in place of token counts. Each token is in one class only: `input` excludes ' +
        'cached tokens, `output` excludes reasoning',
      required: false,
    }),
    provider: applyDecorators(
      EnumField('UsageProvider', PROVIDERS, {
        description: 'The provider whose `usage` object describes the call',
        required: false,
      }),
      Together('providerWithUsage', ({ usage }: { usage?: unknown }) =>
        usage === undefined ? 'must be given together with usage' : undefined,
      ),
    ),
    usage: applyDecorators(
      MetadataField({
        description: 'The provider’s own usage object, unchanged, in place of token counts',
        required: false,
      }),
      Together('usageWithProvider', ({ provider }: { provider?: unknown }) =>
        provider === undefined ? 'must be given together with provider' : undefined,
      ),
      alone('usage', counts),
    ),
    serviceTier: EnumField('ServiceTier', SERVICE_TIERS, {
      description:
        'The provider’s service tier, whose prices apply where the model has some; defaults to `standard`',
      required: false,
    }),
    searchContextSize: EnumField('SearchContextSize', SEARCH_CONTEXT_SIZES, {
      description: 'The size of the call’s web searches, or of one where the usage counts none',
      required: false,
    }),
    images: TokensField({ description: 'Images made, beside the tokens', required: false }),
    seconds: TokensField({
      description: 'Seconds of audio or video processed, beside the tokens',
      required: false,
    }),
  };
}
