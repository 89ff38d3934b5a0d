import { Inject, Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { componentsOf, stored } from '../pricing/components.js';
import type { CreatePricingRuleDto } from '../pricing/dto/pricing.requests.js';
import type { PricePreviewDto } from './dto/price-preview.responses.js';

const DAYS = 30;
/** The most calls that are priced again, which takes about a second. */
const REPRICED_RECORDS = 20_000;
/** Looking up the rule of so many names takes about an eighth of a second. */
const REPRICED_MODELS = 1000;
const REPRICE = {
  name: 'usage_reprice',
  mayBeOld: true,
  text: 'SELECT usage_reprice($1, $2, $3, $4, $5, $6) AS preview',
};

/** What a price would have changed. */
@Injectable()
export class PricePreviewService {
  constructor(
    private readonly database: Database,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** @throws ValidationError for a request without a price */
  async preview(request: CreatePricingRuleDto): Promise<PricePreviewDto> {
    const components = JSON.stringify(stored(componentsOf(request)));
    const { creditsPerUsd } = this.config;
    const values = [request.modelId, components, DAYS, REPRICED_RECORDS, REPRICED_MODELS, creditsPerUsd];
    const [row] = await this.database.report<{ preview: PricePreviewDto }>(REPRICE, values);
    if (row === undefined) throw new Error('the preview of a price returned nothing');
    return row.preview;
  }
}
