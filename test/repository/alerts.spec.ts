import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parse } from 'yaml';

interface Rules {
  groups: { rules: { alert: string }[] }[];
}

it('the page for operators has a section for each alert, and for no other', () => {
  const { groups } = parse(readFileSync('src/health/alerts.yml', 'utf8')) as Rules;
  const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
  const sections = readFileSync('docs/operations.md', 'utf8').match(/(?<=^### )Accounting\w+$/gm);
  expect(alerts.length).toBeGreaterThan(10);
  expect([...(sections ?? [])].sort()).toEqual([...alerts].sort());
});
