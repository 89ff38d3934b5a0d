import type { QueryConfig, QueryResultRow } from 'pg';
import { DatabasePool } from './driver.js';

const PROBE_MILLISECONDS = 500;

/** A position in the write-ahead log, and when the primary had come to it. */
interface Reached {
  wal: bigint;
  at: number;
}

/**
 * A streaming replica for reads that may be a little old. It is asked only while it is known to have everything that was
 * committed until `maximumLagSeconds` ago.
 */
export class Replica {
  private readonly timer: NodeJS.Timeout;
  /** Of the primary, newest last. */
  private reached: Reached[] = [];
  /** Until when the data that the replica has is new enough. */
  private freshUntil = -Infinity;
  private isProbing = false;
  /** How to fail each statement that the replica has not answered yet. */
  private readonly underWay = new Set<(error: Error) => void>();

  constructor(
    readonly pool: DatabasePool,
    private readonly primary: DatabasePool,
    private readonly maximumLagSeconds: number,
  ) {
    this.timer = setInterval(() => {
      if (this.isProbing && !this.isFresh) this.giveUp();
      void this.probe();
    }, PROBE_MILLISECONDS).unref();
  }

  get isFresh(): boolean {
    return performance.now() < this.freshUntil;
  }

  /** One statement. A replica that falls silent fails it when its data would be too old, long before its time limit. */
  async run<Row extends QueryResultRow>(query: QueryConfig): Promise<Row[]> {
    return new Promise<Row[]>((resolve, reject) => {
      this.underWay.add(reject);
      this.pool
        .run<Row>(query)
        .then(resolve, reject)
        .finally(() => this.underWay.delete(reject));
    });
  }

  private giveUp(): void {
    for (const reject of this.underWay) reject(new Error('The replica is silent'));
  }

  /** It has failed to answer, and is asked again once a probe finds it well. */
  leave(): void {
    this.freshUntil = -Infinity;
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.pool.end();
  }

  private async probe(): Promise<void> {
    if (this.isProbing) return;
    this.isProbing = true;
    try {
      const at = performance.now();
      this.reached.push({ wal: await position(this.primary, 'pg_current_wal_lsn()'), at });
      const oldest = at - this.maximumLagSeconds * 1000;
      this.reached = this.reached.filter((reached) => reached.at >= oldest);
      const replayed = await position(this.pool, 'pg_last_wal_replay_lsn()');
      const has = this.reached.findLast(({ wal }) => wal <= replayed);
      if (has !== undefined) this.freshUntil = has.at + this.maximumLagSeconds * 1000;
    } catch {
      // The primary answers meanwhile.
      this.leave();
    } finally {
      this.isProbing = false;
    }
  }
}

/** `16/B374D848` as a number. */
async function position(pool: DatabasePool, expression: string): Promise<bigint> {
  const [row] = await pool.run<{ lsn: string | null }>({ text: `SELECT ${expression}::text AS lsn` });
  const [high, low] = (row?.lsn ?? '0/0').split('/');
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}
