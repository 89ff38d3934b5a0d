import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Where the service keeps the statements of its reads. */
const SOURCES = [
  ['src/credits/credits.service.js', ['BALANCE', 'AVAILABLE']],
  ['src/api-keys/api-keys-verification.service.js', ['VERIFY']],
  ['src/usage/usage-statistics.service.js', ['USER_STATS']],
];

/** The service reads for many at once; the floor for the one who asks, as any plain handler would. */
const KEYS = '= ANY($1::varchar[])';

/**
 * The text of each of the service's own reads by the statement's name, so that the floor runs the very same.
 *
 * @param {string} dist the built service
 * @returns {Promise<Record<string, string>>}
 */
export async function readStatements(dist) {
  await import('reflect-metadata');
  const texts = {};
  for (const [file, names] of SOURCES) {
    const module = await import(pathToFileURL(join(dist, file)).href);
    for (const { name, text } of names.map((each) => module[each])) texts[name] = text.replace(KEYS, '= $1');
  }
  return texts;
}
