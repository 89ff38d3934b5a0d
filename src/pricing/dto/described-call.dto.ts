import {
  CountsField,
  describeCounts,
  EnumField,
  MetadataField,
  NeedsField,
  NeverWith,
  TokensField,
} from '../../common/http/validators.js';
import { SEARCH_CONTEXT_SIZES, type SearchContextSize, USAGE_SOURCES, type UsageSource } from '../call.js';
import { CLASS_NAMES, type Quantities, SERVICE_TIERS, type ServiceTier } from '../price-classes.js';
import { type Provider, PROVIDERS } from '../provider-usage.js';

/** How much of each class a call used; classes that it did not use may be left out. */
export class QuantitiesDto {}
describeCounts(QuantitiesDto, CLASS_NAMES);

/** In place of token counts: what a call used of each class, or the provider's own account of it. */
export const CALL_FORMS = [{ required: ['quantities'] }, { required: ['provider', 'usage'] }];

/**
 * A body that describes a finished call; what extends it has the token counts.
 *
 * @param counts the fields of those
 */
export function DescribedCall(counts: readonly string[]) {
  class DescribedCallDto {
    @CountsField(QuantitiesDto, CLASS_NAMES, [...counts, 'usage', 'provider'], {
      description:
        'What the call used, by class, in place of token counts. Each token is in one class only: `input` excludes ' +
        'cached tokens, `output` excludes reasoning',
      required: false,
    })
    quantities?: Quantities;

    @EnumField('UsageProvider', PROVIDERS, {
      description: 'The provider whose `usage` object describes the call',
      required: false,
    })
    @NeedsField('usage')
    provider?: Provider;

    @MetadataField({
      description: 'The provider’s own usage object, unchanged, in place of token counts',
      required: false,
    })
    @NeedsField('provider')
    @NeverWith('usage', counts)
    usage?: Record<string, unknown>;

    @EnumField('ServiceTier', SERVICE_TIERS, {
      description:
        'The provider’s service tier, whose prices apply where the model has some; defaults to `standard`',
      required: false,
    })
    serviceTier?: ServiceTier;

    @EnumField('UsageSource', USAGE_SOURCES, {
      description:
        'Where the counts come from: reported by the `provider` when the call ended, `drained` from it after the client had ' +
        'left, or `estimated` from what was seen; defaults to `provider` where `usage` is given, otherwise to null',
      required: false,
    })
    usageSource?: UsageSource;

    @EnumField('SearchContextSize', SEARCH_CONTEXT_SIZES, {
      description: 'The size of the call’s web searches, or of one where the usage counts none',
      required: false,
    })
    searchContextSize?: SearchContextSize;

    @TokensField({ description: 'Images made, beside the tokens', required: false })
    images?: number;

    @TokensField({ description: 'Seconds of audio or video processed, beside the tokens', required: false })
    seconds?: number;
  }
  return DescribedCallDto;
}
