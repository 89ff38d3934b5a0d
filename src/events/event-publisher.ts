import { Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';

const PUBLISH = { name: 'events_publish', text: 'SELECT events_publish($1) AS count' };
const BATCH = 500;

/** Gives events their ids and hands them to the webhooks, in the order in which they were written. */
@Injectable()
export class EventPublisher {
  constructor(private readonly database: Database) {}

  /** Until the outbox is empty, another instance is at it, or the service ends. Answers how many events. */
  async publish(stopped?: AbortSignal): Promise<number> {
    for (let published = 0; ;) {
      const { count } = (await this.database.row<{ count: number }>(PUBLISH, [BATCH])) as { count: number };
      published += count;
      if (count < BATCH || stopped?.aborted) return published;
    }
  }
}
