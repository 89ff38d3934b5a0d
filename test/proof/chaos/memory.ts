/** What a client asks for. Each but `balance` changes something once, however often it is asked. */
export type Step =
  'allocate' | 'deduct' | 'charge' | 'record' | 'initialize' | 'progress' | 'finalize' | 'abort' | 'balance';

/** One sending of a request, and what came of it. */
export interface Attempt {
  readonly instance: string;
  readonly startedAt: number;
  readonly milliseconds: number;
  /** 0 when there was no answer. */
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly retryAfter: string | null;
  /** Why there was no answer, or in what it breaks the OpenAPI document. */
  readonly trouble: string;
}

/** One request with everything that was ever answered to it. */
export interface Remembered {
  readonly step: Step;
  readonly userId: string;
  /** The idempotency key, request id or session id. */
  readonly key: string;
  readonly body: Record<string, unknown>;
  readonly attempts: Attempt[];
  /** The client has stopped asking without knowing what became of it. */
  abandoned: boolean;
}

export const isAnswered = ({ status }: Attempt): boolean => status > 0 && status < 500;
export const isAcknowledged = ({ attempts }: Remembered): boolean =>
  attempts.some(({ status }) => status >= 200 && status < 300);
/** Refused, and never left without an answer: it cannot have happened. */
export const isSurelyRefused = ({ attempts }: Remembered): boolean =>
  attempts.length > 0 && attempts.every(({ status }) => status >= 400 && status < 500);
/** The first acknowledgement. */
export const answerOf = ({ attempts }: Remembered): Record<string, unknown> | undefined =>
  attempts.find(({ status }) => status >= 200 && status < 300)?.body;
