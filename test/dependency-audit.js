// Asks the registry for known vulnerabilities of what the service runs with. Ends with 0 when there are none, 1 when
// there are some, and 75 when the registry gave no answer that one could go by: that is neither good nor bad news.
import { spawnSync } from 'node:child_process';

const NOT_ASKED = 75;
const ARGUMENTS = [
  'audit',
  '--omit=dev',
  '--audit-level=low',
  '--json',
  '--fetch-retries=1',
  '--fetch-timeout=30000',
];
/** Advisories that do not concern this service, by their id and with the reason; none. */
const EXPLAINED = {};

const { stdout } = spawnSync('npm', ARGUMENTS, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
const report = parse(stdout);
if (report?.auditReportVersion !== 2) {
  console.log(`The registry could not be asked: ${report?.error?.summary || report?.message || 'no report'}`);
  process.exit(NOT_ASKED);
}

const found = Object.values(report.vulnerabilities)
  .flatMap(({ via }) => via)
  .filter((advisory) => typeof advisory === 'object');
const open = found.filter(({ url }) => EXPLAINED[idOf(url)] === undefined);
for (const { name, severity, title, url } of open) console.log(`${severity}: ${name}: ${title} (${url})`);
const { prod, optional } = report.metadata.dependencies;
console.log(
  `${prod + optional} packages, ${open.length} advisories, ${found.length - open.length} explained`,
);
process.exit(open.length === 0 ? 0 : 1);

function idOf(url) {
  return url.split('/').pop();
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
