import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * Runs the commands of the README and of the guides as they stand, against the service that is running, and compares each
 * answer with the printed one. Only times and ids may differ. SERVICE_URL stands in for the printed address.
 */
const PAGES = [
  'README.md',
  'docs/guides/session.md',
  'docs/guides/prices.md',
  'docs/guides/organisations.md',
];
const ADDRESS = 'http://localhost:3001';
const MARK = '--- end of answer ---';

const steps = PAGES.flatMap((page) => {
  const text = readFileSync(page, 'utf8');
  const played = [...text.matchAll(/```sh\n(.*?)```\s*```json\n(.*?)```/gs)];
  // A block without an answer behind it would be proved by nothing.
  if (played.length === 0 || played.length !== text.match(/^```sh$/gm)?.length)
    throw new Error(`${page} has commands without an answer, or none`);
  return played.map(([, commands, answer]) => ({
    commands: commands.replaceAll(ADDRESS, process.env.SERVICE_URL ?? ADDRESS),
    expected: JSON.parse(answer),
  }));
});

const script = steps.map(({ commands }) => `${commands}\necho; echo '${MARK}'\n`).join('');
const { stdout, stderr, status } = spawnSync('bash', ['-s'], { input: script, encoding: 'utf8' });
if (status !== 0) throw new Error(`The commands failed: ${stderr}`);

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const IDS = new Set([
  'id',
  'allocationId',
  'usageId',
  'keyId',
  'apiKeyId',
  'pricingRuleId',
  'unitId',
  'budgetId',
]);

/** The answer with every time and id replaced by what it is. */
function normalize(value, name) {
  if (typeof value === 'string' && TIME.test(value)) return 'a time';
  if ((typeof value === 'number' && IDS.has(name)) || UUID.test(value)) return 'an id';
  if (name === 'scopeId' && /^\d+$/.test(value)) return 'an id';
  if (name === 'duration') return 'a time';
  if (Array.isArray(value)) return value.map((item) => normalize(item, name));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [
    /^\d{4}-\d{2}-\d{2}$/.test(key) ? 'a day' : key,
    normalize(item, key),
  ]);
  return Object.fromEntries(entries);
}

const answers = stdout.split(MARK);
let failed = 0;
for (const [index, { commands, expected }] of steps.entries()) {
  const wanted = JSON.stringify(normalize(expected));
  let given = answers[index].trim();
  try {
    given = JSON.stringify(normalize(JSON.parse(given)));
  } catch {
    // Not JSON: shown as it came.
  }
  if (given === wanted) continue;
  failed++;
  process.stderr.write(`${commands}  expected ${wanted}\n  got      ${given}\n`);
}
process.stdout.write(`${steps.length - failed} answers as printed, ${failed} not\n`);
process.exitCode = failed === 0 ? 0 : 1;
