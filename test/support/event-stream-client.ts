import { request } from 'node:http';
import type { AccountingEvent } from '../../src/events/event-types.js';

export interface ReceivedEvent {
  id: string;
  event: string;
  data: AccountingEvent;
}

/** Reads server-sent events as a client does that uses streaming fetch. */
export class EventStreamClient {
  readonly events: ReceivedEvent[] = [];
  comments = 0;
  status = 0;
  headers: Record<string, unknown> = {};
  body = '';
  isEnded = false;
  /** Resolves with the headers of the answer. */
  readonly opened: Promise<void>;
  readonly ended: Promise<void>;
  private sent: ReturnType<typeof request>;

  constructor(url: string, headers: Record<string, string>, { reads = true } = {}) {
    let rest = '';
    let whenEnded: () => void;
    this.ended = new Promise((done) => (whenEnded = done));
    const end = () => {
      this.isEnded = true;
      whenEnded();
    };
    this.opened = new Promise((open, fail) => {
      this.sent = request(url, { headers, agent: false }, (response) => {
        this.status = response.statusCode ?? 0;
        this.headers = response.headers;
        response.setEncoding('utf8');
        response.once('close', end);
        response.on('error', end);
        open();
        if (!reads) return;
        response.on('data', (text: string) => {
          this.body += text;
          const blocks = (rest + text).split('\n\n');
          rest = blocks.pop() ?? '';
          for (const block of blocks) this.take(block);
        });
      });
      this.sent.on('error', (error) => {
        end();
        fail(error);
      });
      this.sent.end();
    });
  }

  get ids(): number[] {
    return this.events.map(({ data }) => data.id);
  }

  /** The body of an answer that is an error. */
  async problem(): Promise<Record<string, unknown>> {
    await this.ended;
    return JSON.parse(this.body) as Record<string, unknown>;
  }

  close(): void {
    this.sent.destroy();
  }

  private take(block: string): void {
    if (block.startsWith(':')) this.comments++;
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
    const data = field('data');
    if (data !== undefined)
      this.events.push({
        id: field('id') ?? '',
        event: field('event') ?? '',
        data: JSON.parse(data) as AccountingEvent,
      });
  }
}
