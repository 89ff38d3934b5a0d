import { parse as parseQuery } from 'node:querystring';
import type { SeededRandom } from '../../support/seeded-random.js';
import { allowsQuery, type Operation, type Parameter } from './document.js';
import {
  BODY_CHANGES,
  jsonText,
  NASTY_HEADERS,
  NASTY_QUERIES,
  nastyJsonFor,
  nastyParametersFor,
  PATH_CHANGES,
  UNKNOWN_FIELDS,
} from './nasty-values.js';

export interface HostileRequest {
  operation: string;
  method: string;
  /** Path and query as they go over the wire. */
  target: string;
  headers: Record<string, string>;
  body: Buffer | undefined;
  /** What makes it hostile. */
  changes: string[];
  /** Whether the document leaves no doubt that it must be refused. */
  mustBeRefused: boolean;
}

/** Who calls, and what there is to call about. */
export interface World {
  /** Headers by caller; `stranger` shows nothing. */
  callers: Record<string, Record<string, string>>;
  /** The caller who may make a call with these security schemes. */
  aptCaller: (operation: Operation) => string;
  /** Callers whose credentials are good for nothing. */
  strangers: readonly string[];
  /** Good values of path parameters, and of fields in place of the document's examples; asked once per request. */
  valuesFor: (operation: Operation, random: SeededRandom, sequence: number) => Record<string, unknown>;
}

interface Draft {
  operation: Operation;
  caller: string;
  method: string;
  path: string;
  pathValues: Record<string, string>;
  query: [string, string][];
  rawQuery: string | undefined;
  headers: Record<string, string>;
  /** Names and values of the body, both as JSON text; undefined where there is no body. */
  members: [string, string][] | undefined;
  rewriteBody: ((json: string) => Buffer) | undefined;
  changes: string[];
}

interface Change {
  name: string;
  apply: (draft: Draft) => void;
}

/**
 * Requests made of the document: first good ones with a single change each, of all operations and fields in an order by
 * chance, none twice; then several changes at once.
 */
export class RequestGenerator {
  private sequence = 0;
  private readonly changesOf = new Map<string, Change[]>();
  private readonly singles: [Operation, Change][];

  constructor(
    private readonly operations: readonly Operation[],
    private readonly random: SeededRandom,
    private readonly world: World,
    private readonly singleChanges: number,
  ) {
    for (const operation of operations) this.changesOf.set(operation.id, changesFor(operation, world));
    this.singles = shuffled(
      operations.flatMap((operation) =>
        (this.changesOf.get(operation.id) as Change[]).map((change): [Operation, Change] => [
          operation,
          change,
        ]),
      ),
      random,
    );
  }

  /** How many different changes there are. */
  get changes(): number {
    return this.singles.length;
  }

  next(): HostileRequest {
    const single = this.singles[this.sequence++];
    if (single !== undefined && this.sequence <= this.singleChanges) {
      const draft = this.goodDraft(single[0], this.random.chance(0.5));
      this.change(draft, single[1]);
      return finish(draft, this.world);
    }
    const operation = this.random.pick(this.operations);
    const draft = this.goodDraft(operation, false);
    // One in nine is good: it moves the state on, and refusals are then about something.
    const count = this.random.pick([0, 1, 2, 2, 2, 3, 3, 4, 5]);
    for (let done = 0; done < count; done++) {
      this.change(draft, this.random.pick(this.changesOf.get(operation.id) as Change[]));
    }
    return finish(draft, this.world);
  }

  private change(draft: Draft, { name, apply }: Change): void {
    apply(draft);
    draft.changes.push(name);
  }

  /** @param whole with every optional field that has an example; otherwise some of them */
  private goodDraft(operation: Operation, whole: boolean): Draft {
    const { random } = this;
    const values = this.world.valuesFor(operation, random, this.sequence);
    const example = operation.body && (random.pick(operation.body.examples) as object);
    const fields = Object.entries({ ...example, ...values }).filter(
      ([name, value]) =>
        value !== undefined &&
        example !== undefined &&
        (Object.keys(operation.body?.properties ?? {}).length === 0
          ? name in example
          : name in (operation.body?.properties ?? {}) &&
            (whole || operation.body?.required.includes(name) || name in values || random.chance(0.5))),
    );
    return {
      operation,
      caller: this.world.aptCaller(operation),
      method: operation.method,
      path: operation.path,
      pathValues: Object.fromEntries(
        parametersIn(operation, 'path').map(({ name }) => [name, parameterText(values[name])]),
      ),
      query: parametersIn(operation, 'query')
        .filter(({ name, required }) => required || name in values || (whole && random.chance(0.3)))
        .flatMap(({ name, schema, example: own }): [string, string][] => {
          const value = values[name] ?? own ?? schema.example;
          return value === undefined ? [] : [[name, parameterText(value)]];
        }),
      rawQuery: undefined,
      headers: {},
      members:
        operation.body && fields.map(([name, value]): [string, string] => [jsonText(name), jsonText(value)]),
      rewriteBody: undefined,
      changes: [],
    };
  }
}

function parametersIn(operation: Operation, place: Parameter['in']): Parameter[] {
  return operation.parameters.filter((parameter) => parameter.in === place);
}

const parameterText = (value: unknown) =>
  encodeURIComponent(typeof value === 'string' ? value : jsonText(value));

const short = (text: string) => (text.length > 60 ? `${text.slice(0, 60)}… (${text.length})` : text);

function changesFor(operation: Operation, world: World): Change[] {
  return [
    ...bodyChanges(operation),
    ...parameterChanges(operation),
    ...NASTY_QUERIES.map((query) => ({
      name: `query ${short(query)}`,
      apply: (draft: Draft) => void (draft.rawQuery = query),
    })),
    ...PATH_CHANGES.map((change, index) => ({
      name: `path change ${index}`,
      apply: (draft: Draft) => void (draft.path = change(draft.path)),
    })),
    ...NASTY_HEADERS.map((headers) => ({
      name: `header ${short(jsonText(headers))}`,
      apply: (draft: Draft) => void Object.assign(draft.headers, headers),
    })),
    ...Object.keys(world.callers).map((caller) => ({
      name: `caller ${caller}`,
      apply: (draft: Draft) => void (draft.caller = caller),
    })),
    ...['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND'].map((method) => ({
      name: `method ${method}`,
      apply: (draft: Draft) => void (draft.method = method),
    })),
  ];
}

function bodyChanges(operation: Operation): Change[] {
  const rewrites = BODY_CHANGES.map(([name, rewrite]) => ({
    name: `body ${name}`,
    apply: (draft: Draft) => {
      draft.members ??= [];
      draft.rewriteBody = rewrite;
    },
  }));
  if (operation.body === undefined) return rewrites;
  const { properties, examples } = operation.body;
  const example = (examples[0] ?? {}) as Record<string, unknown>;
  const names = Object.keys(properties).length > 0 ? Object.keys(properties) : Object.keys(example);
  const fields = names.flatMap((name): Change[] => {
    const key = jsonText(name);
    const set = (json: string): Change => ({
      name: `field ${name} = ${short(json)}`,
      apply: (draft) =>
        void (draft.members = [...(draft.members ?? []).filter(([other]) => other !== key), [key, json]]),
    });
    const twice = (json: string): Change => ({
      name: `field ${name} again = ${short(json)}`,
      apply: (draft) => void draft.members?.push([key, json]),
    });
    return [
      {
        name: `field ${name} left out`,
        apply: (draft) => void (draft.members = draft.members?.filter(([other]) => other !== key)),
      },
      ...['null', '1', '{"a":1}', jsonText(properties[name]?.example ?? 'a')].map(twice),
      ...nastyJsonFor(properties[name] ?? {}).map(set),
      ...nestedValues(example[name]).map(set),
    ];
  });
  const unknown = UNKNOWN_FIELDS.flatMap((name) =>
    ['1', '{"isAdmin":true}'].map((json) => ({
      name: `unknown field ${short(name)}`,
      apply: (draft: Draft) => void draft.members?.push([jsonText(name), json]),
    })),
  );
  return [...rewrites, ...fields, ...unknown];
}

/** An object of the document's examples with each of its own fields replaced by each nasty value, as JSON text. */
function nestedValues(example: unknown): string[] {
  if (typeof example !== 'object' || example === null || Array.isArray(example)) return [];
  const place = '\u0001place\u0001';
  return Object.keys(example).flatMap((name) => {
    const template = jsonText({ ...example, [name]: place });
    return nastyJsonFor({ minimum: 0 }).map((json) => template.replace(jsonText(place), () => json));
  });
}

function parameterChanges(operation: Operation): Change[] {
  return operation.parameters.flatMap(({ in: place, name, schema }): Change[] => {
    if (place === 'header') return [];
    const values = nastyParametersFor(schema);
    if (place === 'path') {
      return values.map((value) => ({
        name: `path ${name} = ${short(value)}`,
        apply: (draft) => void (draft.pathValues[name] = value),
      }));
    }
    return values.flatMap((value, index): Change[] => [
      {
        name: `query ${name} = ${short(value)}`,
        apply: (draft) =>
          void (draft.query = [...draft.query.filter(([other]) => other !== name), [name, value]]),
      },
      ...(index % 8 === 0
        ? [
            {
              name: `query ${name} again = ${short(value)}`,
              apply: (draft: Draft) => void draft.query.push([name, value]),
            },
          ]
        : []),
    ]);
  });
}

function finish(draft: Draft, world: World): HostileRequest {
  const { operation } = draft;
  const path = draft.path.replace(/\{(\w+)\}/gi, (whole, name: string) => draft.pathValues[name] ?? whole);
  const query = [...draft.query.map(([name, value]) => `${name}=${value}`), draft.rawQuery]
    .filter((part) => part !== undefined)
    .join('&');
  const body = bodyOf(draft);
  return {
    operation: operation.id,
    method: draft.method,
    target: query === '' ? path : `${path}?${query}`,
    headers: {
      ...(body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': String(body.length) }),
      ...world.callers[draft.caller],
      ...draft.headers,
    },
    body,
    changes: draft.changes,
    mustBeRefused: mustBeRefused(draft, world, query, body),
  };
}

function bodyOf({ members, rewriteBody, operation }: Draft): Buffer | undefined {
  if (members === undefined) return undefined;
  const object = `{${members.map(([name, value]) => `${name}:${value}`).join(',')}}`;
  const json = Array.isArray(operation.body?.examples[0])
    ? object.replace(/^\{"0":([^]*)\}$/, '[$1]')
    : object;
  return rewriteBody ? rewriteBody(json) : Buffer.from(json);
}

/** What the document says plainly; where it leaves room, the service decides. */
function mustBeRefused(draft: Draft, world: World, query: string, body: Buffer | undefined): boolean {
  const { operation, method, path, pathValues, headers } = draft;
  // Without its parameter a path is another operation's.
  const isChanged = path !== operation.path || Object.values(pathValues).includes('');
  if (method !== operation.method || isChanged) return false;
  if (operation.security.length > 0 && world.strangers.includes(draft.caller)) return true;
  const parameters = parseQuery(query);
  for (const parameter of operation.parameters) {
    if (parameter.in === 'query') {
      if (!allowsQuery(parameter, [parameters[parameter.name] ?? []].flat())) return true;
    } else if (parameter.in === 'header') {
      const value = headers[parameter.name.toLowerCase()];
      if (value !== undefined && (value.length === 0 || value.length > 255)) return true;
    } else if (parameter.schema.type === 'number' || parameter.schema.type === 'integer') {
      if (!/^[1-9]\d{0,15}$/.test(pathValues[parameter.name] as string)) return true;
    }
  }
  return body !== undefined && operation.body !== undefined && !mayBeAllowed(operation.body, body);
}

function mayBeAllowed(documented: NonNullable<Operation['body']>, body: Buffer): boolean {
  const text = body.toString('utf8');
  // A byte order mark may be ignored by readers of JSON (RFC 8259, 8.1).
  if (text.startsWith('\ufeff')) return true;
  // No body at all is an object without fields.
  if (text.trim() === '') return documented.allows({});
  try {
    const value = JSON.parse(text) as unknown;
    return documented.allows(value);
  } catch {
    return Object.keys(documented.properties).length === 0;
  }
}

function shuffled<T>(items: T[], random: SeededRandom): T[] {
  for (let index = items.length - 1; index > 0; index--) {
    const other = random.integer(0, index);
    [items[index], items[other]] = [items[other] as T, items[index] as T];
  }
  return items;
}
