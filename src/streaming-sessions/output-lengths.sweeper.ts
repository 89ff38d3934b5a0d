import { Inject, Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { Sweeper } from '../common/sweeper.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';

/** Of the sessions that a quantile is made of; with fewer, a hold covers the declared maximum. */
const MINIMUM_WEIGHT = 200;
/** Between two looks at what was learned, which changes slowly. */
const REST_MILLISECONDS = 60_000;

const LEARN = { name: 'output_lengths_learn', text: 'SELECT output_lengths_learn() AS "mayHaveMore"' };
const QUANTILES = {
  name: 'output_lengths_quantiles',
  text: `SELECT model_id AS "modelId", input_size AS "inputSize", min(output_size) AS "outputSize"
           FROM (SELECT *, sum(weight) OVER (size_of_input ORDER BY output_size) AS so_far, sum(weight) OVER size_of_input AS total
                   FROM output_lengths WINDOW size_of_input AS (PARTITION BY model_id, input_size)) w
          WHERE total >= ${MINIMUM_WEIGHT} AND so_far >= total * $1::float8
          GROUP BY model_id, input_size`,
};

interface Quantile {
  modelId: string;
  inputSize: number;
  outputSize: number;
}

/**
 * How many tokens most calls of a model generate, by the size of their input: what a hold without an estimate is made of.
 * Every instance adds settled sessions to the histograms, the database lets one at a time, and each keeps the quantiles in
 * memory: a hold never waits for them.
 */
@Injectable()
export class OutputLengths extends Sweeper {
  private quantiles = new Map<string, number>();
  private readFrom = 0;

  constructor(
    private readonly database: Database,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    super('Output length sweeper', config.sweepIntervalSeconds);
  }

  /** The output tokens that `HOLD_QUANTILE` of such calls did not exceed; undefined with too few of them to say. */
  expected(modelId: string, inputTokens: number): number | undefined {
    return this.quantiles.get(keyOf(modelId, inputSize(inputTokens)));
  }

  async sweep(stopped?: AbortSignal): Promise<void> {
    let mayHaveMore: boolean | undefined = true;
    while (mayHaveMore && !stopped?.aborted)
      mayHaveMore = (await this.database.row<{ mayHaveMore: boolean }>(LEARN))?.mayHaveMore;
    if (performance.now() >= this.readFrom) await this.read();
  }

  async read(): Promise<void> {
    const rows = await this.database.report<Quantile>(QUANTILES, [this.config.sessions.holdQuantile]);
    this.quantiles = new Map(
      rows.map(({ modelId, inputSize, outputSize }) => [keyOf(modelId, inputSize), largestOf(outputSize)]),
    );
    this.readFrom = performance.now() + REST_MILLISECONDS;
  }
}

const keyOf = (modelId: string, size: number) => `${size} ${modelId}`;
/** As `input_size` in SQL. */
const inputSize = (tokens: number) => Math.floor(Math.log(Math.max(tokens, 1)) / Math.log(4) + 1e-9);
/** The most tokens of a size, as `output_size` in SQL. */
const largestOf = (outputSize: number) => Math.floor(2 ** (outputSize / 8) + 1e-9);
