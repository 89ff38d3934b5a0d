import { mayBeOfOneRequest } from '../errors/database-errors.js';
import { Combiner } from './combiner.js';

/** Statements of one kind under way at once: with more, fewer reads go together, and fewer were served. */
const LANES = 1;
const MAXIMUM_TOGETHER = 64;
const MAXIMUM_WAITING = 10_000;

/**
 * Reads of one kind, each of one row by its key, combined while the database is busy. A read is sent after it was asked
 * for, never answered from what was read before, so it sees everything that its caller has been answered before.
 */
export class CombinedReads<Row extends { key: string }> {
  private readonly combiner: Combiner<null, Row | undefined>;

  /**
   * @param rows runs the statement for an array of keys; at most one row for each, with the key as `key`
   * @param options.isCombining whether reads go together; else each goes by itself
   * @param options.patienceMilliseconds how long a read may wait for its turn
   */
  constructor(
    rows: (keys: string[]) => Promise<Row[]>,
    options: { isCombining: boolean; patienceMilliseconds: number },
  ) {
    this.combiner = new Combiner<null, Row | undefined>({
      ...options,
      lanes: LANES,
      maximumTogether: MAXIMUM_TOGETHER,
      maximumSlow: Infinity,
      maximumWaiting: MAXIMUM_WAITING,
      maximumWaitingPerKey: MAXIMUM_WAITING,
      isOneByOnePerKey: false,
      together: async (reads) => {
        const found = await rows([...new Set(reads.map(({ key }) => key))]);
        const byKey = new Map(found.map((row) => [row.key, row]));
        return reads.map(({ key }) => byKey.get(key));
      },
      alone: async ({ key }) => (await rows([key]))[0],
      mayBeOfOne: mayBeOfOneRequest,
    });
  }

  /** The key's row, or undefined. @throws ServiceUnavailable when too many wait, or this one has waited too long */
  of(key: string): Promise<Row | undefined> {
    return this.combiner.ask(key, null);
  }
}
