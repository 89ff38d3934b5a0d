import { MAXIMUM_TOKENS } from '../common/http/validators.js';
import { type PriceClass, PRICE_CLASSES, type Quantities } from './price-classes.js';

export const PROVIDERS = ['openai', 'anthropic', 'bedrock', 'gemini', 'cohere', 'openrouter'] as const;
export type Provider = (typeof PROVIDERS)[number];

/** What a provider's usage object says, by class, and the tokens that no class explains or that contradict themselves. */
export interface NormalUsage {
  quantities: Quantities;
  unexplainedTokens: number;
}

/** Why an object is not usage of its provider. */
export class UsageProblem extends Error {}

/** How one class is read: the first of the fields that is there, less the classes before it that it includes. */
type Reading = [name: PriceClass, fields: string[], includes?: PriceClass[]];

interface Format {
  /** The page that says so. */
  readonly source: string;
  /** Fields of which it has at least one. */
  readonly has: string[];
  /** Fields of other providers' objects that look alike. */
  readonly hasNot: string[];
  readonly classes: Reading[];
  readonly total?: string;
}

const either = (fields: string[], ...parents: string[]) =>
  parents.flatMap((parent) => fields.map((field) => `${parent}.${field}`));
/** Chat completions, responses and embeddings, images, and the realtime API. */
const PROMPT = ['prompt_tokens_details', 'input_tokens_details', 'input_token_details'];
const COMPLETION = ['completion_tokens_details', 'output_tokens_details', 'output_token_details'];

const OPENAI: Format = {
  source: 'https://platform.openai.com/docs/api-reference/chat/object#usage',
  has: ['prompt_tokens', 'input_tokens', 'completion_tokens', 'output_tokens', 'total_tokens', 'seconds'],
  hasNot: ['cache_read_input_tokens', 'cache_creation_input_tokens', 'cache_creation', 'server_tool_use'],
  classes: [
    ['cached_audio_input', either(['cached_tokens_details.audio_tokens'], ...PROMPT)],
    ['cached_input', either(['cached_tokens'], ...PROMPT), ['cached_audio_input']],
    // Gateways write Anthropic's writes for an hour so, in OpenAI's form.
    ['cache_write_1h', either(['cache_creation_token_details.ephemeral_1h_input_tokens'], ...PROMPT)],
    [
      'cache_write_5m',
      either(['cache_write_tokens', 'cache_creation_tokens'], ...PROMPT),
      ['cache_write_1h'],
    ],
    ['audio_input', either(['audio_tokens'], ...PROMPT), ['cached_audio_input']],
    // A cached image is cached input: no catalogue has a price of its own for it.
    ['image_input', PROMPT.map((from) => `${from}.image_tokens-${from}.cached_tokens_details.image_tokens`)],
    ['video_input', either(['video_tokens'], ...PROMPT)],
    [
      'input',
      ['prompt_tokens', 'input_tokens'],
      [
        'cached_input',
        'cached_audio_input',
        'cache_write_5m',
        'cache_write_1h',
        'audio_input',
        'image_input',
        'video_input',
      ],
    ],
    ['reasoning', either(['reasoning_tokens'], ...COMPLETION)],
    ['audio_output', either(['audio_tokens'], ...COMPLETION)],
    ['image_output', either(['image_tokens'], ...COMPLETION)],
    ['video_output', either(['video_tokens'], ...COMPLETION)],
    [
      'output',
      ['completion_tokens', 'output_tokens'],
      ['reasoning', 'audio_output', 'image_output', 'video_output'],
    ],
    ['seconds', ['seconds']],
  ],
  total: 'total_tokens',
};

/** Where cached, reasoning and media tokens are counted differs from provider to provider: each table says where. */
const FORMATS: Record<Provider, Format> = {
  openai: OPENAI,
  openrouter: { ...OPENAI, source: 'https://openrouter.ai/docs/use-cases/usage-accounting' },
  anthropic: {
    source: 'https://docs.claude.com/en/api/messages#response-usage',
    has: ['input_tokens', 'output_tokens'],
    hasNot: ['prompt_tokens', 'total_tokens', 'input_tokens_details', 'output_tokens_details'],
    classes: [
      ['cached_input', ['cache_read_input_tokens']],
      ['cache_write_1h', ['cache_creation.ephemeral_1h_input_tokens']],
      ['cache_write_5m', ['cache_creation_input_tokens'], ['cache_write_1h']],
      ['input', ['input_tokens']],
      ['output', ['output_tokens']],
      ['search_medium', ['server_tool_use.web_search_requests']],
    ],
  },
  bedrock: {
    source: 'https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html',
    has: ['inputTokens', 'outputTokens'],
    hasNot: ['promptTokenCount', 'prompt_tokens'],
    classes: [
      ['cached_input', ['cacheReadInputTokens']],
      ['cache_write_1h', ['cacheDetails[ttl=1h].inputTokens']],
      ['cache_write_5m', ['cacheWriteInputTokens'], ['cache_write_1h']],
      ['input', ['inputTokens']],
      ['output', ['outputTokens']],
    ],
  },
  gemini: {
    source: 'https://ai.google.dev/api/generate-content#UsageMetadata',
    has: ['promptTokenCount', 'totalTokenCount'],
    hasNot: ['prompt_tokens', 'input_tokens', 'inputTokens'],
    classes: [
      ['cached_audio_input', ['cacheTokensDetails[modality=AUDIO].tokenCount']],
      ['cached_input', ['cachedContentTokenCount'], ['cached_audio_input']],
      ['audio_input', ['promptTokensDetails[modality=AUDIO].tokenCount'], ['cached_audio_input']],
      [
        'image_input',
        ['promptTokensDetails[modality=IMAGE].tokenCount-cacheTokensDetails[modality=IMAGE].tokenCount'],
      ],
      [
        'video_input',
        ['promptTokensDetails[modality=VIDEO].tokenCount-cacheTokensDetails[modality=VIDEO].tokenCount'],
      ],
      [
        'input',
        ['promptTokenCount+toolUsePromptTokenCount'],
        ['cached_input', 'cached_audio_input', 'audio_input', 'image_input', 'video_input'],
      ],
      ['reasoning', ['thoughtsTokenCount']],
      ['audio_output', ['candidatesTokensDetails[modality=AUDIO].tokenCount']],
      ['image_output', ['candidatesTokensDetails[modality=IMAGE].tokenCount']],
      ['output', ['candidatesTokenCount'], ['audio_output', 'image_output']],
    ],
    total: 'totalTokenCount',
  },
  cohere: {
    source: 'https://docs.cohere.com/reference/chat#response.body.usage',
    has: ['billed_units', 'tokens'],
    hasNot: ['prompt_tokens', 'input_tokens'],
    classes: [
      ['input', ['billed_units.input_tokens', 'tokens.input_tokens']],
      ['output', ['billed_units.output_tokens', 'tokens.output_tokens']],
      ['queries', ['billed_units.search_units']],
      ['images', ['billed_units.images']],
    ],
  },
};

/** What a cache may hold besides text, in the order in which it is taken to: rising prices. */
const MEDIA = ['image_input', 'video_input', 'audio_input'] as const;

/**
 * A provider's own usage object as quantities of exclusive classes. It is a pure function. What contradicts itself is no
 * reason to refuse a finished call: it is left to a review.
 *
 * @throws UsageProblem for another provider's object, a count that is none, or more than any call has
 */
export function normaliseUsage(provider: Provider, usage: Record<string, unknown>): NormalUsage {
  const format = FORMATS[provider];
  const foreign = format.hasNot.find((field) => isGiven(usage[field]));
  if (foreign !== undefined) throw new UsageProblem(`is not the usage of ${provider}: it has ${foreign}`);
  if (!format.has.some((field) => isGiven(usage[field])))
    throw new UsageProblem(`is not the usage of ${provider}: it has none of ${format.has.join(', ')}`);
  const total = format.total === undefined ? undefined : read(usage, format.total);
  let normal = byClass(usage, format.classes, total);
  if (normal.unexplainedTokens > 0 && total !== undefined) {
    // Some models count reasoning otherwise than their provider says; where that makes up the total, they do.
    const otherwise = byClass(usage, format.classes.map(toggleReasoning), total);
    if (otherwise.unexplainedTokens === 0) normal = otherwise;
  }
  if (Math.max(normal.unexplainedTokens, ...Object.values(normal.quantities)) > MAXIMUM_TOKENS)
    throw new UsageProblem(`has more than ${MAXIMUM_TOKENS} of a class`);
  return normal;
}

/** Output with reasoning becomes output beside it, and the other way round. */
function toggleReasoning([name, fields, includes = []]: Reading): Reading {
  if (name !== 'output') return [name, fields, includes];
  const others = includes.filter((part) => part !== 'reasoning');
  return [name, fields, others.length < includes.length ? others : [...includes, 'reasoning']];
}

function byClass(usage: Record<string, unknown>, classes: Reading[], total: number | undefined): NormalUsage {
  const quantities: Quantities = {};
  const doubtful = new Set<PriceClass>();
  for (const [name, fields, includes = []] of classes) {
    const count = fields.map((field) => read(usage, field)).find((value) => value !== undefined);
    if (count === undefined) continue;
    let rest = includes.reduce((left, part) => left - (quantities[part] ?? 0), count);
    if (name === 'input' && rest < 0) rest += takeCachedMedia(quantities, -rest);
    quantities[name] = rest < 0 ? count : rest;
    if (rest >= 0) continue;
    // Parts of more than the whole: what is known is the whole.
    for (const part of includes) delete quantities[part];
    doubtful.add(name);
  }
  const known = tokensIn(quantities);
  let unexplainedTokens = Math.max((total ?? known) - known, 0);
  for (const [name, count] of entriesOf(quantities)) {
    const exceedsTotal = total !== undefined && known > total && PRICE_CLASSES[name] === 'token';
    const isDoubtful = exceedsTotal || doubtful.has(name);
    if (isDoubtful) unexplainedTokens += count;
    if (isDoubtful || count === 0) delete quantities[name];
  }
  if (Object.keys(quantities).length === 0) quantities.tokens = 0;
  return { quantities, unexplainedTokens };
}

/**
 * Where a prompt is counted too often because nothing says which of its tokens were cached, they were text as far as there
 * is text, and media beyond that. Takes those from the media.
 *
 * @returns how many
 */
function takeCachedMedia(quantities: Quantities, twice: number): number {
  const most = Math.min(twice, quantities.cached_input ?? 0);
  let left = most;
  for (const name of MEDIA) {
    const count = quantities[name] ?? 0;
    quantities[name] = Math.max(count - left, 0);
    left = Math.max(left - count, 0);
  }
  return most - left;
}

const isGiven = (value: unknown) => value !== undefined && value !== null;

const entriesOf = (quantities: Quantities) => Object.entries(quantities) as [PriceClass, number][];

const tokensIn = (quantities: Quantities) =>
  entriesOf(quantities).reduce(
    (sum, [name, count]) => (PRICE_CLASSES[name] === 'token' ? sum + count : sum),
    0,
  );

/** A path such as `a.b`, `list[key=value].b`, or two of them with `+` or `-` between, 0 at least. undefined: not there. */
function read(usage: Record<string, unknown>, path: string): number | undefined {
  const [first = '', sign, second = ''] = path.split(/([+-])/);
  const [one, other] = [readOne(usage, first), readOne(usage, second)];
  if (one === undefined && other === undefined) return undefined;
  return Math.max((one ?? 0) + (sign === '-' ? -1 : 1) * (other ?? 0), 0);
}

function readOne(usage: Record<string, unknown>, path: string): number | undefined {
  const found = path
    .split('.')
    .reduce<unknown[]>((values, step) => values.flatMap((value) => follow(value, step)), [usage]);
  const counts = found.filter(isGiven).map((value) => countOf(value, path));
  return counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + count, 0);
}

function follow(value: unknown, step: string): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  const [, name = step, key, wanted] = /^(\w+)(?:\[(\w+)=(\w+)\])?$/.exec(step) ?? [];
  const next = (value as Record<string, unknown>)[name];
  if (key === undefined) return [next];
  return Array.isArray(next)
    ? next.filter((item: unknown) => (item as Record<string, unknown> | null)?.[key] === wanted)
    : [];
}

function countOf(value: unknown, path: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new UsageProblem(`has a ${path} that is not a whole number from 0`);
  return value;
}
