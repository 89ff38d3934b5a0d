import type { EventType } from './event-types.js';

/** What has happened, after the account's name; for alerts and for the console. A type that is missing here does not compile. */
export const EVENT_WORDS: Record<EventType, string> = {
  'credits.low': 'is low on credits',
  'credits.exhausted': 'has no credits left',
  'credits.recovered': 'has credits again',
  'credits.expiring': 'has credits that expire soon',
  'credits.expired': 'had unused credits expire',
  'session.timed_out': 'had a session time out',
  'usage.needs_review': 'has a call that needs review',
  'usage.settled': 'had a call in review settled',
  'api_key.created': 'has a new API key',
  'api_key.revoked': 'had an API key revoked',
  'api_key.expiring': 'has an API key that expires soon',
  'api_key.expired': 'had an API key expire',
  'budget.threshold': 'has used much of a budget',
  'budget.exhausted': 'has used up a budget',
  'budget.recovered': 'has room in a budget again',
  'limit.reached': 'had a call refused by a limit',
  'organisation.created': 'was created',
  'organisation.renamed': 'was renamed',
  'organisation.archived': 'was archived',
  'organisation.member_added': 'has a new member',
  'organisation.member_changed': 'had a member changed',
  'organisation.member_removed': 'had a member removed',
};
