import { existsSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const text = readFileSync('SECURITY.md', 'utf8');
const rows = text
  .split('\n')
  .filter((line) => /^\| \d/.test(line))
  .map((line) =>
    line
      .replace(/^\||\|$/g, '')
      .split(' | ')
      .map((cell) => cell.trim()),
  );
const named = rows.map(([requirement = '', , shownBy = '']) => {
  const [, file = '', test = ''] = /^`([^`]+)`: (.+)$/.exec(shownBy) ?? [];
  return { requirement, file, test };
});

/** Names of the tests that run: those of `it` and `it.each`, not of what is skipped, and not what stands in comments. */
function testsOf(file: string): string[] {
  const names: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const callee = ts.isCallExpression(node.expression) ? node.expression.expression : node.expression;
      const [name] = node.arguments;
      const runs = /^it(\.each)?$/.test(callee.getText().replace(/\s/g, ''));
      if (runs && name !== undefined && ts.isStringLiteralLike(name)) names.push(name.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true));
  return names;
}

describe('the table of SECURITY.md', () => {
  it('has a row for each area that level 2 asks of an API', () => {
    const chapters = new Set(rows.map(([requirement = '']) => requirement.split('.')[0]));
    expect([...chapters].sort((a, b) => Number(a) - Number(b))).toEqual([
      '1',
      '2',
      '3',
      '4',
      '7',
      '8',
      '9',
      '10',
      '11',
      '13',
      '14',
      '15',
      '16',
    ]);
  });

  it.each(named)('$requirement is shown by a test that exists', ({ file, test }) => {
    expect(existsSync(file), `no file ${file}`).toBe(true);
    expect(testsOf(file)).toContain(test);
  });
});
