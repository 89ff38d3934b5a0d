/** Which Markdown files of the repository are pages of the site, and where. */
const PLACES = [
  [/^docs\/(.+)$/, '$1'],
  [/^(?:CHANGELOG|CONTRIBUTING|SECURITY)\.md$/, (file) => file.toLowerCase()],
  [/^deploy\/README\.md$/, 'guides/deployment.md'],
  [/^migrations\/README\.md$/, 'modules/migrations.md'],
  [/^clients\/README\.md$/, 'clients/index.md'],
  [/^clients\/(typescript|python|generated)\/README\.md$/, 'clients/$1.md'],
  [/^test\/README\.md$/, 'tests.md'],
  [/^test\/bench\/results\.md$/, 'speed-results.md'],
  [/^src\/(?:\w+\/)?([\w-]+)\/README\.md$/, 'modules/$1.md'],
];
/** The README is for a visitor of the repository; the site has its own first page. */
const HOME = { 'README.md': 'index.md' };

/** @param {string} file from the root of the repository @returns {string | undefined} the page, if it is one */
export function pageOf(file) {
  const place = PLACES.find(([pattern]) => pattern.test(file));
  return place === undefined ? undefined : file.replace(...place);
}

/** As `pageOf`, for what links lead to. */
export const targetOf = (file) => HOME[file] ?? pageOf(file);
