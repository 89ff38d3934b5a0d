import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const read = (file: string) => readFileSync(file, 'utf8');
const document = JSON.parse(read('openapi.json')) as {
  paths: Record<string, object>;
  components: { examples: Record<string, { value: { code: string; status: number } }> };
};

describe('docs/errors.md', () => {
  const described = new Map(
    [
      ...read('docs/errors.md').matchAll(
        /^### `([^`]+)`\n\n\*\*(\d{3})\.\*\* (.+)\n\n\*\*What to do:\*\* (.+)$/gm,
      ),
    ].map(([, code, status]) => [code, Number(status)]),
  );

  it('has each code that the source knows, once, with a cause and what to do, and no other', () => {
    const source = readdirSync('src', { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.startsWith('console/web'))
      .map((file) => read(`src/${file}`))
      .join('\n');
    const known = [...source.matchAll(/super\(\s*(\d{3}),\s*'([a-z_.]+)'/g)];
    expect(known.length).toBeGreaterThan(90);
    const codes = new Map(known.map(([, status, code]) => [code, Number(status)]));
    expect(Object.fromEntries(described)).toEqual(Object.fromEntries(codes));
    expect(read('docs/errors.md').match(/^### /gm)).toHaveLength(codes.size);
  });

  it('has the codes of openapi.json', () => {
    for (const { value } of Object.values(document.components.examples))
      expect([value.code, described.get(value.code)]).toEqual([value.code, value.status]);
  });
});

describe('docs/guides', () => {
  /** Pages whose commands and answers test/documented-commands.js plays, and what other tests compile or hold below. */
  const PROVED: Record<string, string[]> = {
    'session.md': ['sh', 'json'],
    'prices.md': ['sh', 'json'],
    'organisations.md': ['sh', 'json'],
    'any-language.md': ['ts'],
    'litellm.md': ['yaml'],
  };

  it.each(readdirSync('docs/guides'))('%s has no example that no test proves', (page) => {
    const languages = read(`docs/guides/${page}`).match(/(?<=^```)\w.*$/gm) ?? [];
    // An installation is proved by the tests of the packages.
    const examples = languages.filter((language) => language !== 'sh install');
    expect(PROVED[page] ?? []).toEqual(expect.arrayContaining(examples));
  });

  it('configures LiteLLM as the real proxy was tried with, for a route that there is', () => {
    interface Configuration {
      litellm_settings: object;
      callback_settings: { accounting: Record<string, unknown> };
    }
    const [, shown = ''] = /```yaml\n([^]*?)```/.exec(read('docs/guides/litellm.md')) ?? [];
    const { litellm_settings, callback_settings } = parse(shown) as Configuration;
    const [, tried = ''] = /^CONFIG = """\n?([^]*?)"""/m.exec(read('test/proof/litellm/real_proxy.py')) ?? [];
    // The braces of Python's format.
    const { accounting } = (
      parse(
        tried
          .replaceAll('{{', '{')
          .replaceAll('}}', '}')
          .replaceAll(/: \{\w+\}/g, ': any'),
      ) as Configuration
    ).callback_settings;
    const { endpoint, event_types, ...rest } = callback_settings.accounting;
    expect(event_types).toEqual(['llm_api_success']);
    expect(accounting).toMatchObject(rest);
    expect(litellm_settings).toEqual({ callbacks: ['accounting'], turn_off_message_logging: true });
    expect(document.paths).toHaveProperty([new URL(String(endpoint)).pathname]);
  });
});

describe('the changelog', () => {
  it('is one file: the site shows CHANGELOG.md', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    expect(read('CHANGELOG.md')).toContain(`\n## ${version} `);
    expect(readdirSync('docs')).not.toContain('changelog.md');
  });
});
