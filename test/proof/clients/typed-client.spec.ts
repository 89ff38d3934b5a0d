import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import openapiTS, { astToString } from 'openapi-typescript';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectSoundBooks, userWithCredits } from '../../support/money.js';
import { startService, type TestService } from '../../support/service.js';
import { accessToken } from '../../support/tokens.js';

/** What a user of the client writes: the session of docs/guides/session.md. It prints what it was answered. */
const SESSION = `
import createClient from 'openapi-fetch';
import type { components, paths } from './accounting.js';

const [baseUrl = '', token = ''] = process.argv.slice(2);
const api = createClient<paths, 'application/json' | 'application/problem+json'>({ baseUrl, headers: { Authorization: \`Bearer \${token}\` } });
const modelId = 'anthropic.claude-3-sonnet-20240229-v1:0';

const allocated = await api.POST('/api/credits/allocate', { body: { userId: 'alice', credits: 1000 } });
const checked = await api.POST('/api/credits/check', { body: { requiredCredits: 100 } });
const started = await api.POST('/api/streaming-sessions/initialize', {
  body: { sessionId: 's1', modelId, estimatedTokens: 1000 },
});
const status: 'active' | 'completed' | 'failed' | undefined = started.data?.status;
const progress = await api.POST('/api/streaming-sessions/progress', {
  body: { sessionId: 's1', tokensGenerated: 400 },
});
const settled = await api.POST('/api/streaming-sessions/finalize', { body: { sessionId: 's1', actualTokens: 700 } });
const balance = await api.GET('/api/credits/balance');
const credits: number | undefined = balance.data?.activeAllocations[0]?.credits;
const page = await api.GET('/api/credits/ledger', { params: { query: { limit: 2 } } });
const kinds: components['schemas']['LedgerEntryDto']['kind'][] = page.data?.items.map(({ kind }) => kind) ?? [];

/** Only a shortage says how much is needed. */
function missing(problem: components['schemas']['ProblemDto'] | components['schemas']['InsufficientCreditsDto']): number {
  return 'requiredCredits' in problem ? problem.requiredCredits - problem.availableCredits : 0;
}
const refused = await api.POST('/api/streaming-sessions/initialize', {
  body: { sessionId: 's2', modelId, estimatedTokens: 1_000_000 },
});
const unknown = await api.GET('/api/credits/balance/{userId}', { params: { path: { userId: 'unknown' } } });

console.log(
  JSON.stringify({
    lot: allocated.data?.remainingCredits,
    has: checked.data?.hasSufficientCredits,
    status,
    held: started.data?.allocatedCredits,
    shouldStop: progress.data?.shouldStop,
    refund: settled.data?.refund,
    credits,
    kinds,
    missing: refused.error && missing(refused.error),
    unknown: unknown.error?.code,
  }),
);
`;

/** Each of these must be refused by the compiler; a line that it does not refuse is an error of its own. */
const MISTAKES = `
import createClient from 'openapi-fetch';
import type { components, paths } from './accounting.js';

const api = createClient<paths, 'application/json' | 'application/problem+json'>({ baseUrl: '' });
// @ts-expect-error no such path
await api.GET('/api/credits/balances');
// @ts-expect-error no such method of this path
await api.POST('/api/credits/balance');
// @ts-expect-error a field by another name
await api.POST('/api/credits/check', { body: { required: 100 } });
// @ts-expect-error a number as a text
await api.POST('/api/credits/check', { body: { requiredCredits: '100' } });
// @ts-expect-error a required field is missing
await api.POST('/api/credits/allocate', { body: { userId: 'alice' } });
// @ts-expect-error a permission that there is not
await api.POST('/api/api-keys', { body: { name: 'k', permissions: ['credits:write'] } });
// @ts-expect-error the user is a part of the path
await api.GET('/api/credits/balance/{userId}');
// @ts-expect-error an unknown parameter
await api.GET('/api/accounts', { params: { query: { q: 'ali' } } });
const { data, error } = await api.GET('/api/credits/balance');
// @ts-expect-error there may be an error, and then no data
console.log(data.totalCredits);
// @ts-expect-error a field by another name
console.log(data?.balance);
console.log(error?.detail);
declare const record: components['schemas']['UsageRecordDto'];
// @ts-expect-error unknown is null, which is no text
export const cost: string = record.providerCostUsd;
// @ts-expect-error a status that there is not
console.log(record.billingStatus === 'paid');
declare const problem: components['schemas']['ProblemDto'] | components['schemas']['InsufficientCreditsDto'];
// @ts-expect-error only a shortage says how much there is
console.log(problem.availableCredits);
`;

let service: TestService;
let directory: string;
beforeAll(async () => {
  service = await startService();
  directory = await mkdtemp(join(tmpdir(), 'accounting-client-'));
  // As `npx openapi-typescript openapi.json --default-non-nullable=false` does it.
  const document = JSON.parse(await readFile('openapi.json', 'utf8')) as Parameters<typeof openapiTS>[0];
  const types = astToString(await openapiTS(document, { defaultNonNullable: false, silent: true }));
  await writeFile(join(directory, 'accounting.ts'), types);
  await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
  await symlink(resolve('node_modules'), join(directory, 'node_modules'));
});
afterAll(async () => {
  await service.close();
  await rm(directory, { recursive: true, force: true });
});

/** Compiles a program as strictly as can be, and returns what the compiler says of it. */
async function compile(name: string, text: string): Promise<string[]> {
  const file = join(directory, `${name}.ts`);
  await writeFile(file, text);
  const program = ts.createProgram([file], {
    strict: true,
    skipLibCheck: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ['node'],
    typeRoots: [resolve('node_modules/@types')],
  });
  const { diagnostics } = program.emit();
  return [...ts.getPreEmitDiagnostics(program), ...diagnostics].map(
    ({ file: where, start = 0, messageText }) => {
      const line = where ? where.getLineAndCharacterOfPosition(start).line : 0;
      return `${where?.text.split('\n')[line]}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
    },
  );
}

describe('a TypeScript client made of openapi.json', () => {
  it('compiles, and plays a session that ends as the guide says', async () => {
    expect(await compile('session', SESSION)).toEqual([]);
    const token = accessToken({ sub: 'alice', role: 'admin' });
    const program = [join(directory, 'session.js'), service.url, token];
    const { stdout } = await promisify(execFile)(process.execPath, program, { timeout: 30_000 });
    expect(JSON.parse(stdout)).toEqual({
      lot: 1000,
      has: true,
      status: 'active',
      held: 4,
      shouldStop: false,
      refund: 1,
      credits: 997,
      kinds: ['refund', 'hold'],
      missing: 3600 - 997,
      unknown: 'account.not_found',
    });
    await expectSoundBooks(service);
  });

  it('is what the guide shows: its lines compile, hold credits, and say what is short', async () => {
    const guide = await readFile('docs/guides/any-language.md', 'utf8');
    const lines = /^```ts\n([^]*?)^```$/m.exec(guide)?.[1];
    expect(lines?.split('\n').length).toBeGreaterThan(9);
    const values = 'const [baseUrl = "", token = ""] = process.argv.slice(2);\n';
    expect(await compile('guide', `${values}${lines}`)).toEqual([]);
    const program = join(directory, 'guide.js');
    const run = async (sub: string) => {
      const values = [program, service.url, accessToken({ sub })];
      return (await promisify(execFile)(process.execPath, values, { timeout: 30_000 })).stdout;
    };
    const { userId } = await userWithCredits(service, 1000);
    expect(await run(userId)).toMatch(/^2 credits held until 20/);
    expect(await run((await userWithCredits(service, 1)).userId)).toBe('1 missing\n');
    await service.as(userId).post('/api/streaming-sessions/abort', { sessionId: 's2' });
    expect(await run(userId)).toMatch(/^session.already_ended /);
  });

  it('does not compile with names and types that there are not', async () => {
    expect(MISTAKES.match(/@ts-expect-error/g)?.length).toBe(13);
    expect(await compile('mistakes', MISTAKES)).toEqual([]);
  });
});

interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}
interface Media {
  schema: Schema;
  example?: unknown;
  examples?: object;
}
interface Operation {
  operationId?: string;
  summary?: string;
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, { content?: Record<string, Media> }>;
}
interface Schema {
  $ref?: string;
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  enum?: unknown[];
}

/** Bodies in formats of others: a map of which only the entries have a name, and lines of text. */
const FOREIGN_BODIES = ['importPricing', 'takeLitellmLogs'];

describe('the document', async () => {
  const document = JSON.parse(await readFile('openapi.json', 'utf8')) as Document;
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item));

  it('names each operation as a method: a verb and what it is done to', () => {
    const ids = operations.map(({ operationId }) => operationId ?? '');
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[a-z]+([A-Z][a-z]*)+$/);
    for (const { operationId, summary } of operations) expect(summary, operationId).toBeTruthy();
  });

  it('has a named schema and an example for every body, and names no form twice', () => {
    for (const { operationId = '', requestBody, responses } of operations) {
      const answers = Object.values(responses).map(({ content }) => content);
      for (const content of [requestBody?.content, ...answers]) {
        for (const [type, { schema, example, examples }] of Object.entries(content ?? {})) {
          if (
            !type.includes('json') ||
            (content === requestBody?.content && FOREIGN_BODIES.includes(operationId))
          )
            continue;
          const named = schema.type === 'array' ? schema.items?.$ref : schema.$ref;
          expect(named, `${operationId} ${type}`).toMatch(/^#\/components\/schemas\//);
          expect(example ?? examples, `${operationId} ${type}`).toBeDefined();
        }
      }
    }
    for (const [name, { properties = {} }] of Object.entries(document.components.schemas)) {
      for (const [field, schema] of Object.entries(properties)) {
        expect(
          (schema.items ?? schema).properties,
          `${name}.${field} is a form without a name`,
        ).toBeUndefined();
      }
    }
  });

  it('has one form of error answer, and one more each for what is too little and for limits', () => {
    for (const { operationId, responses } of operations) {
      for (const [status, { content }] of Object.entries(responses)) {
        if (Number(status) < 400 || operationId === 'getReadiness') continue;
        expect(Object.keys(content ?? {}), `${operationId} ${status}`).toEqual(['application/problem+json']);
        const hasLimits = ['initializeSession', 'chargeUsage'].includes(operationId ?? '');
        const ofLimits = status === '429' && hasLimits ? 'RateProblemDto' : 'ProblemDto';
        const form = status === '402' ? 'InsufficientCreditsDto' : ofLimits;
        expect(content?.['application/problem+json']?.schema.$ref).toBe(`#/components/schemas/${form}`);
      }
    }
  });
});
