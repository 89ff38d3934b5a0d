import type { Tiktoken } from 'js-tiktoken/lite';

/** English text has about four characters to a token; each model's own rate is learned from the calls that report theirs. */
const CHARACTERS_PER_TOKEN = 4;
/** What no text is beyond: a usage that says so counts what was not seen. */
const LEAST_CHARACTERS_PER_TOKEN = 1;
const MOST_CHARACTERS_PER_TOKEN = 8;
/** After so many tokens, what was learned counts half. */
const LEARNED_TOKENS = 50_000;
/** The role and the separators of a message, as OpenAI counts them; an estimate for others. */
export const TOKENS_PER_MESSAGE = 4;
/** The beginning of the answer. */
export const TOKENS_PER_PROMPT = 3;
/** An image in low resolution; larger ones cost more, which the settlement charges. */
export const TOKENS_PER_IMAGE = 85;

/** Pieces of a text that the tokenizer gets, cut at a space. */
const PIECE_CHARACTERS = 1000;
/** Its time grows with the square of a run without, or of nothing but, spaces: a text with a longer one is cut by this. */
const RUN_CHARACTERS = 64;
const LONG_RUN = new RegExp(`\\S{${RUN_CHARACTERS + 1}}|\\s{${RUN_CHARACTERS + 1}}`);
/** What is beyond is counted at the rate of what is before it, so that no prompt takes longer than a fraction of a second. */
const MAXIMUM_CHARACTERS = 20_000;

export type CountTokens = (text: string) => number;

/** Texts of each model, with the tokens that its provider counted. */
const learned = new Map<string, { characters: number; tokens: number }>();

/** Notes that a text of a model had so many tokens. */
export function learnRate(model: string, characters: number, tokens: number): void {
  const rate = characters / tokens;
  if (!(rate >= LEAST_CHARACTERS_PER_TOKEN && rate <= MOST_CHARACTERS_PER_TOKEN)) return;
  const known = learned.get(model) ?? { characters: 0, tokens: 0 };
  const weight = known.tokens > LEARNED_TOKENS ? 0.5 : 1;
  learned.set(model, {
    characters: known.characters * weight + characters,
    tokens: known.tokens * weight + tokens,
  });
}

/** Of a model's text, as far as it is known; 4 at first. */
export function charactersPerToken(model: string): number {
  const { characters, tokens } = learned.get(model) ?? { characters: CHARACTERS_PER_TOKEN, tokens: 1 };
  return characters / tokens;
}

const estimator =
  (model: string): CountTokens =>
  (text) =>
    Math.ceil(text.length / charactersPerToken(model));

type Encoding = 'o200k_base' | 'cl100k_base';
const counters = new Map<Encoding, Promise<CountTokens | undefined>>();

/** The model's own tokenizer if the package `js-tiktoken` is installed and has it, otherwise an estimate by characters. */
export async function tokenCounter(model: string): Promise<CountTokens> {
  const encoding = encodingOf(model);
  if (encoding === undefined) return estimator(model);
  let counter = counters.get(encoding);
  if (counter === undefined) {
    counter = load(encoding).then(boundedCounter, () => undefined);
    counters.set(encoding, counter);
  }
  return (await counter) ?? estimator(model);
}

/** OpenAI's models by name, also those of a deployment or fine-tuning that keeps it. Newer ones use o200k_base so far. */
function encodingOf(model: string): Encoding | undefined {
  const name = model.replace(/^(openai\/|ft:)/, '');
  if (/^(gpt-3\.5|gpt-35|gpt-4$|gpt-4-)/.test(name)) return 'cl100k_base';
  return /^(gpt-|chatgpt-|o\d)/.test(name) ? 'o200k_base' : undefined;
}

async function load(encoding: Encoding): Promise<Tiktoken> {
  const [{ Tiktoken }, ranks] = await Promise.all([
    import('js-tiktoken/lite'),
    encoding === 'o200k_base'
      ? import('js-tiktoken/ranks/o200k_base')
      : import('js-tiktoken/ranks/cl100k_base'),
  ]);
  return new Tiktoken(ranks.default);
}

const boundedCounter =
  (tokenizer: Tiktoken): CountTokens =>
  (text) => {
    const read = text.slice(0, MAXIMUM_CHARACTERS);
    let tokens = 0;
    for (const piece of piecesOf(read)) {
      // Special tokens in a user's text are text.
      tokens += tokenizer.encode(piece, [], []).length;
    }
    return Math.ceil((tokens * text.length) / Math.max(read.length, 1));
  };

function* piecesOf(text: string): Generator<string> {
  const longest = LONG_RUN.test(text) ? RUN_CHARACTERS : PIECE_CHARACTERS;
  for (let start = 0; start < text.length;) {
    const end = start + longest;
    const space = end < text.length ? text.lastIndexOf(' ', end) : text.length;
    const cut = space > start ? space : end;
    yield text.slice(start, cut);
    start = cut;
  }
}

/**
 * Counts a prompt in either provider's form: strings, messages, and parts with text, images, tool calls and results.
 * Exact for plain text with a tokenizer; for the rest an estimate.
 */
export function countPrompt(prompt: unknown, count: CountTokens): number {
  let tokens = TOKENS_PER_PROMPT;
  const visit = (value: unknown): void => {
    if (typeof value === 'string') tokens += count(value);
    else if (Array.isArray(value)) value.forEach(visit);
    else if (typeof value === 'object' && value !== null) visitObject(value as Record<string, unknown>);
  };
  const visitObject = (value: Record<string, unknown>): void => {
    if ('role' in value) tokens += TOKENS_PER_MESSAGE;
    const type = [value.type, value.mediaType].join(' ');
    // The data of images and files is no text, and may be megabytes.
    if (/image/.test(type)) tokens += TOKENS_PER_IMAGE;
    else if (!/audio|file|document/.test(type))
      for (const name of TEXT_FIELDS) if (value[name] !== undefined) visitField(name, value[name]);
  };
  const visitField = (name: string, value: unknown): void => {
    const isJson = JSON_FIELDS.has(name) && typeof value === 'object';
    visit(isJson ? JSON.stringify(value) : value);
  };
  visit(prompt);
  return tokens;
}

const TEXT_FIELDS = [
  'content',
  'text',
  'refusal',
  'thinking',
  'arguments',
  'name',
  'output',
  'tool_calls',
  'function',
  'input',
  'parameters',
  'input_schema',
  'inputSchema',
  'description',
  'value',
];
/** What models see of tools is their JSON. */
const JSON_FIELDS = new Set(['input', 'parameters', 'input_schema', 'inputSchema']);
