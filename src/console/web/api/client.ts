import createClient from 'openapi-fetch';
import { reportTrouble } from './connection';
import { noAnswer, problemOf } from './problem';
import type { components, paths } from './schema';
import { credentialsOf, end, endOf, type Session, session } from './session';

export type Schemas = components['schemas'];
export type Balance = Schemas['BalanceDto'];
export type Allocation = Schemas['ActiveAllocationDto'];
export type LedgerEntry = Schemas['LedgerEntryDto'];
export type UsageRecord = Schemas['UsageRecordDto'];
export type UsageStats = Schemas['UsageStatsDto'];
export type SystemStats = Schemas['SystemStatsDto'];
export type ActiveSession = Schemas['ActiveSessionDto'];
export type PricingRule = Schemas['PricingRuleDto'];
export type ApiKey = Schemas['ApiKeyDto'];
export type CreatedApiKey = Schemas['CreatedApiKeyDto'];
export type PriceImport = Schemas['PriceImportDto'];
export type { Page } from './pages';

/** Every operation of the API, with the types of its document. */
export const api = createClient<paths>({ baseUrl: location.origin, fetch: (request) => send(request) });

type Credentials = Pick<Session, 'token'>;

/** Sends a request of the person who has signed in, or is signing in. */
export async function send(request: Request, as: Credentials | null = session.value): Promise<Response> {
  for (const [name, value] of Object.entries(as === null ? {} : credentialsOf(as)))
    request.headers.set(name, value);
  let response: Response;
  try {
    response = await fetch(request);
  } catch (error) {
    if (request.signal.aborted) throw error;
    reportTrouble('unreachable');
    throw noAnswer();
  }
  // The session may have ended meanwhile, or another may have begun: only the one that asked is refused.
  if (response.status === 401 && as !== null && as === session.value) end(await reasonOf(response, as));
  if (response.status === 503 || response.status === 502) reportTrouble('unavailable');
  return response;
}

async function reasonOf(response: Response, as: Credentials): Promise<string> {
  // A console session has no other end; and of a request that the page has given up meanwhile nothing more can be read.
  if (as.token === null) return endOf(as);
  const { detail } = (await response
    .clone()
    .json()
    .catch(() => ({}))) as { detail?: string };
  return detail === 'Token expired' ? endOf(as) : 'The service no longer accepts your access token.';
}

/**
 * What an operation returns.
 *
 * @throws Problem when it refuses, or when there is no answer
 */
export async function answer<Data>(
  call: Promise<{ data?: Data; error?: unknown; response: Response }>,
): Promise<Data> {
  const { data, error, response } = await call;
  if (error !== undefined || !response.ok) throw problemOf(response.status, error, response.headers);
  return data as Data;
}

/**
 * The session of a token, as the service reads it; without one, the session of the browser's cookie.
 *
 * @throws Problem when the service accepts none
 */
export async function sessionWith(token: string | null): Promise<Session> {
  const response = await send(new Request(`${location.origin}/api/me`), { token });
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw problemOf(response.status, body, response.headers);
  const { userId, username, role, expiresAt } = body as Schemas['MeDto'];
  return { token, userId, username, role, expiresAt: Date.parse(expiresAt) };
}

/** One key for each form that is opened: a request that is sent again moves no credits twice. */
export function newIdempotencyKey(): string {
  // Not randomUUID: browsers have it only at trusted addresses, and the console works at others too.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `console-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
