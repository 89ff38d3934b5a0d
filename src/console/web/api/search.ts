import { answer, api, type Schemas } from './client';

export type SearchResult = Schemas['SearchResultDto'];

/** A letter alone finds nothing, and the API refuses it. */
export const isSearchable = (text: string) =>
  text
    .trim()
    .split(/\s+/)
    .some((word) => word.length > 1 || word > '~');

export const search = (q: string, signal?: AbortSignal): Promise<Schemas['SearchResultsDto']> =>
  answer(api.GET('/api/search', { params: { query: { q, limit: 5 } }, signal }));
