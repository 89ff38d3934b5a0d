import { isUnavailable } from '../errors/database-errors.js';
import { ServiceUnavailable } from '../errors/service-error.js';
import type { Database, Statement } from './database.js';
import { Lanes } from './lanes.js';

/** Statements of one kind under way at once. While one is, reads gather, and go together in the next: more lanes served fewer. */
const LANES = 1;
/** The most keys of one statement. */
const MAXIMUM_TOGETHER = 64;
/** The most that wait; the next is refused at once. */
const MAXIMUM_WAITING = 10_000;

interface Read<Row> {
  readonly key: string;
  readonly askedAt: number;
  readonly resolve: (row: Row | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Reads of one kind, each of one row by its key. Whoever need not wait goes alone, at once; what would wait for a place
 * goes together, so that a busy service asks less often. A read is sent after it was asked for, never answered from
 * what was read before: it sees everything that its caller was told.
 */
export class CombinedReads<Row extends { key: string }> {
  private waiting: Read<Row>[] = [];
  private readonly lanes = new Lanes(LANES, () => this.dispatch());

  /**
   * @param statement takes an array of keys as $1, and answers at most one row for each, with the key as `key`
   * @param options.isCombining whether reads go together; else each goes by itself
   * @param options.patienceMilliseconds how long a read may wait for its turn
   */
  constructor(
    private readonly database: Database,
    private readonly statement: Statement,
    private readonly options: { isCombining: boolean; patienceMilliseconds: number },
  ) {}

  /** The key's row, or undefined. @throws ServiceUnavailable when too many wait, or this one has waited too long */
  of(key: string): Promise<Row | undefined> {
    if (!this.options.isCombining) return this.alone(key);
    return new Promise((resolve, reject) => {
      if (this.waiting.length >= MAXIMUM_WAITING) throw new ServiceUnavailable();
      this.waiting.push({ key, askedAt: performance.now(), resolve, reject });
      this.dispatch();
    });
  }

  private dispatch(): void {
    while (this.lanes.isOneFree && this.waiting.length > 0) {
      const together = this.waiting.splice(0, MAXIMUM_TOGETHER);
      const latest = performance.now() - this.options.patienceMilliseconds;
      const inTime = together.filter(({ askedAt }) => askedAt >= latest);
      for (const { askedAt, reject } of together) if (askedAt < latest) reject(new ServiceUnavailable());
      if (inTime.length > 0) this.lanes.use(this.send(inTime));
    }
  }

  private async send(together: Read<Row>[]): Promise<void> {
    const keys = new Set(together.map(({ key }) => key));
    try {
      const rows = await this.database.rows<Row>(this.statement, [[...keys]]);
      const byKey = new Map(rows.map((row) => [row.key, row]));
      for (const { key, resolve } of together) resolve(byKey.get(key));
    } catch (error) {
      // An error that one key brings about is that key's alone.
      const isEverybodys =
        together.length === 1 || isUnavailable(error) || error instanceof ServiceUnavailable;
      for (const { key, resolve, reject } of together) {
        if (isEverybodys) reject(error);
        else await this.alone(key).then(resolve, reject);
      }
    }
  }

  private async alone(key: string): Promise<Row | undefined> {
    return (await this.database.rows<Row>(this.statement, [[key]]))[0];
  }
}
