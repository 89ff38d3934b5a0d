import { readFileSync } from 'node:fs';
import { parser } from '@prometheus-io/lezer-promql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { initialize, userWithCredits } from '../support/money.js';
import { startService, type TestService } from '../support/service.js';

interface Rule {
  alert: string;
  expr: string;
  for?: string;
  labels: { severity: string };
  annotations: { summary: string };
}
const { groups } = parse(readFileSync('src/health/alerts.yml', 'utf8')) as {
  groups: { name: string; rules: Rule[] }[];
};
const rules = groups.flatMap((group) => group.rules);
/** What Prometheus itself adds to every series. */
const BY_PROMETHEUS = ['job', 'instance'];

interface Selector {
  metric: string;
  labels: { name: string; operator: string; value: string }[];
}

/** Series that an expression asks for, and labels that it groups by, as Prometheus' own grammar reads it. */
function readExpression(expr: string): { selectors: Selector[]; grouping: string[]; errors: string[] } {
  const selectors: Selector[] = [];
  const grouping: string[] = [];
  const errors: string[] = [];
  parser.parse(expr).iterate({
    enter: ({ type, from, to, node }) => {
      const text = expr.slice(from, to);
      if (type.isError) errors.push(`at ${from}: ${expr.slice(from, from + 20)}`);
      if (type.name === 'VectorSelector')
        selectors.push({ metric: /^\w*/.exec(text)?.[0] ?? '', labels: [] });
      if (type.name === 'UnquotedLabelMatcher') {
        const [, name = '', operator = '', value = ''] = /^(\w+)\s*(=~|!~|!=|=)\s*"(.*)"$/s.exec(text) ?? [];
        selectors.at(-1)?.labels.push({ name, operator, value });
      }
      if (type.name === 'LabelName' && node.parent?.name === 'GroupingLabels') grouping.push(text);
    },
  });
  return { selectors, grouping, errors };
}

let service: TestService;
/** Series of a service that has seen some of everything. */
let series: { name: string; labels: Record<string, string> }[];
beforeAll(async () => {
  service = await startService();
  const user = await userWithCredits(service, 1000);
  await initialize(user, 's');
  for (const call of ['progress', 'finalize', 'abort']) {
    await user.post(`/api/streaming-sessions/${call}`, {
      sessionId: 's',
      tokensGenerated: 1,
      actualTokens: 1,
    });
  }
  await user.post('/api/usage/charge', { requestId: 'r', modelId: 'm', tokens: 1 });
  await service.as('root', { role: 'admin' }).get('/api/credits/audit');
  await service.owner.query('ALTER FUNCTION session_hold RENAME TO session_hold_gone');
  expect((await initialize(user, 't')).status).toBe(500);
  const { text } = await service.anonymous().get('/metrics');
  series = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', labels = ''] = /^(\w+)(?:\{(.*)\})? /.exec(line) ?? [];
      const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, value]) => [key, value]);
      return { name, labels: Object.fromEntries(pairs) as Record<string, string> };
    });
});
afterAll(() => service.close());

const matches = ({ operator, value }: Selector['labels'][number], actual = '') => {
  const equal = operator.includes('~') ? new RegExp(`^(?:${value})$`).test(actual) : actual === value;
  return operator.startsWith('!') ? !equal : equal;
};

describe('src/health/alerts.yml', () => {
  it('has rules with a name of their own, a severity and a summary', () => {
    expect(rules.length).toBeGreaterThan(8);
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { alert, labels, annotations, for: pause } of rules) {
      expect(alert).toMatch(/^Accounting[A-Z]\w+$/);
      expect(['page', 'ticket']).toContain(labels.severity);
      expect(annotations.summary).toMatch(/\S/);
      expect(pause ?? '1m').toMatch(/^\d+[mh]$/);
    }
  });

  it('has a section for each rule, and for no other, on the page for operators', () => {
    const sections = readFileSync('docs/operations.md', 'utf8').match(/(?<=^### )Accounting\w+$/gm);
    expect([...(sections ?? [])].sort()).toEqual(rules.map(({ alert }) => alert).sort());
  });

  it.each(rules)('$alert asks for series that a running service has', ({ expr }) => {
    const { selectors, grouping, errors } = readExpression(expr);
    expect(errors).toEqual([]);
    expect(selectors.length).toBeGreaterThan(0);
    const known = new Set(BY_PROMETHEUS);
    for (const { metric, labels } of selectors) {
      const found = series.filter(
        (one) => one.name === metric && labels.every((label) => matches(label, one.labels[label.name])),
      );
      expect(found.length, `${metric} ${JSON.stringify(labels)}`).toBeGreaterThan(0);
      for (const name of found.flatMap((one) => Object.keys(one.labels))) known.add(name);
      // A pattern of routes names routes that are there, every one of them.
      for (const { value } of labels.filter(({ name }) => name === 'route')) {
        const routes = value.replace(/\(([^)]*)\)/, (_, each: string) => `{${each}}`);
        const count = routes.split('|').length;
        expect(new Set(found.map((one) => one.labels.route)).size).toBe(count);
      }
    }
    for (const label of grouping) expect([...known]).toContain(label);
  });

  it('asks for no metric that README.md does not describe, and README.md describes none that is not there', () => {
    const readme = readFileSync('src/health/README.md', 'utf8');
    const described = new Set(
      [...readme.matchAll(/`((?:accounting|http)_\w+)`/g)].map(([, name]) => name as string),
    );
    const names = new Set(series.map(({ name }) => name.replace(/_(bucket|sum|count)$/, '')));
    for (const name of described) expect([...names]).toContain(name);
    for (const name of names) {
      if (name.startsWith('accounting_') && !/_pool_(waiting|limit)$/.test(name))
        expect([...described]).toContain(name);
    }
  });
});
