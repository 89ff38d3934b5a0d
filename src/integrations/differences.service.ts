import { Injectable } from '@nestjs/common';
import { requestIdPrefix } from '../common/gateways.js';
import { Database } from '../common/database/database.js';
import { decodeCursor, type PageQueryDto, toPage } from '../common/http/page.js';
import { isoTime } from '../common/http/time.js';
import type { CostDifferenceDto, CostDifferencePageDto } from './dto/integrations.responses.js';
import type { Gateway } from './gateway.js';

const DIFFERENCES = {
  name: 'cost_differences',
  text: `SELECT id::float8 AS "usageId", account_id AS "accountId", user_id AS "userId", timestamp,
                operation AS "modelId", request_id AS "requestId",
                trim_scale(provider_cost_usd)::text AS "reportedCostUsd",
                trim_scale(computed_cost_usd)::text AS "computedCostUsd"
           FROM usage_records
          WHERE abs(provider_cost_usd - computed_cost_usd) > 0.01 * computed_cost_usd
            AND request_id ^@ $1 AND ($2::bigint IS NULL OR id < $2)
          ORDER BY id DESC LIMIT $3`,
};

/** The first reconciliation: what a gateway says that a call cost, beside what the pricing rule says. */
@Injectable()
export class DifferencesService {
  constructor(private readonly database: Database) {}

  /** Newest first. */
  async page({ name }: Gateway, { limit, cursor }: PageQueryDto): Promise<CostDifferencePageDto> {
    const rows = await this.database.rows<CostDifferenceDto>(DIFFERENCES, [
      requestIdPrefix(name),
      decodeCursor(cursor) ?? null,
      limit + 1,
    ]);
    return toPage(
      rows.map((row) => ({ ...row, id: row.usageId })),
      limit,
      ({ id: _, ...row }) => ({ ...row, timestamp: isoTime(row.timestamp) }),
    );
  }
}
