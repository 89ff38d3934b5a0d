/** Requests of one caller in one window of the rate limit. */
export type Count = [caller: string, windowEndsAt: number, requests: number];

export type ToPrimary = { type: 'counts'; counts: Count[] } | { type: 'metrics'; request: number };

/** `counts`: what the other workers have counted for the callers that were asked about. */
export type ToWorker =
  { type: 'counts'; counts: Count[] } | { type: 'metrics'; request: number; text: string };
