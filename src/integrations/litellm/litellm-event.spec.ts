import { describe, expect, it } from 'vitest';
import { parseExactly } from './exact-json.js';
import type { Call } from '../gateway.js';
import { claimedUser, readEvent, reduceEvent } from './litellm-event.js';

const NOW = Date.parse('2026-11-21T09:00:00Z');
const KEY_HASH = '7984551912b7e11bac29c8899dc3d12c5435cf3c8e210628126687713a986435';

/** An event as LiteLLM 1.106.2 sends it, with all that must not be kept. */
const EVENT = {
  id: 'chatcmpl-1',
  litellm_call_id: '26a4af17-7a6d-4ab7-a0b9-a079eee5baec',
  call_type: 'acompletion',
  status: 'success',
  model: 'openai/gpt-4o-mini',
  model_group: 'mock',
  custom_llm_provider: 'openai',
  model_map_information: { model_map_key: 'openai/gpt-4o-mini', model_map_value: { key: 'gpt-4o-mini' } },
  prompt_tokens: 10,
  completion_tokens: 20,
  total_tokens: 30,
  response_cost: 1.35e-5,
  startTime: 1795250279.825764,
  endTime: 1795250279.846899,
  end_user: null,
  metadata: { user_api_key_user_id: 'alice', user_api_key_hash: KEY_HASH },
  error_information: { error_code: '', error_message: 'SECRET' },
  messages: [{ role: 'user', content: 'SECRET' }],
  response: { choices: [{ message: { content: 'SECRET' } }] },
};

/** The reading of an event with some fields replaced by JSON text; undefined leaves one out. */
function readWith(fields: Record<string, string | undefined> = {}, metadata?: object, trustsEndUser = false) {
  const members = Object.entries({ ...EVENT, ...(metadata ? { metadata } : {}) })
    .filter(([name]) => !(name in fields))
    .map(([name, value]) => [name, JSON.stringify(value)] as const);
  const given = Object.entries(fields).filter(([, json]) => json !== undefined);
  const text = [...members, ...given].map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',');
  const element = parseExactly(`{${text}}`);
  return readEvent(reduceEvent(element), NOW, trustsEndUser);
}

function callWith(
  fields: Record<string, string | undefined> = {},
  metadata?: object,
  trustsEndUser = false,
): Call {
  const reading = readWith(fields, metadata, trustsEndUser);
  if (reading.kind !== 'call') throw new Error(JSON.stringify(reading));
  return reading.call;
}

describe('what is kept of an event', () => {
  it('has no prompt, no answer and no error text', () => {
    expect(JSON.stringify(reduceEvent(EVENT))).not.toContain('SECRET');
    expect(JSON.stringify(callWith())).not.toContain('SECRET');
  });

  it('is short, and can be stored, whatever was sent', () => {
    const huge = 'x'.repeat(1_000_000);
    const event = reduceEvent({
      id: huge,
      model: '\u0000\ud800',
      status: {},
      end_user: [huge],
      metadata: huge,
    });
    expect(JSON.stringify(event).length).toBeLessThan(1500);
    expect(JSON.stringify(event)).not.toContain('\\u0000');
    expect(event.model).toBe('\ufffd\ufffd');
  });

  it('can be read again as it was the first time', () => {
    const event = reduceEvent(EVENT);
    const kept = JSON.parse(JSON.stringify(event)) as typeof event;
    expect(readEvent(kept, NOW, false)).toEqual(readEvent(event, NOW, false));
    const { serviceTier: _, cachedAudioTokens: __, ...ofEarlierRelease } = kept;
    expect(readEvent(ofEarlierRelease as typeof event, NOW, false)).toEqual(readEvent(event, NOW, false));
  });
});

describe('the tokens of a call', () => {
  it.each<[what: string, fields: Record<string, string>, metadata: object | undefined, quantities: object]>([
    ['by class', {}, undefined, { input: 10, output: 20 }],
    [
      "with cached input in OpenAI's form",
      {},
      { usage_object: { prompt_tokens_details: { cached_tokens: 4 } } },
      { input: 6, output: 20, cached_input: 4 },
    ],
    [
      "with cached input in Anthropic's form",
      {},
      { usage_object: { cache_read_input_tokens: 10 } },
      { output: 20, cached_input: 10 },
    ],
    [
      'with cached input in the answer only',
      { response: '{"usage":{"prompt_tokens_details":{"cached_tokens":3}}}' },
      {},
      { input: 7, output: 20, cached_input: 3 },
    ],
    [
      'with what is written to a cache, thoughts, sounds, pictures and searches',
      { prompt_tokens: '100', completion_tokens: '50', total_tokens: '150' },
      {
        usage_object: {
          cache_read_input_tokens: 10,
          cache_creation_input_tokens: 20,
          cache_creation: { ephemeral_1h_input_tokens: 5 },
          prompt_tokens_details: { audio_tokens: 3, image_tokens: 7 },
          completion_tokens_details: { reasoning_tokens: 30, audio_tokens: 4, image_tokens: 6 },
          server_tool_use: { web_search_requests: 2 },
        },
      },
      {
        ...{
          input: 60,
          cached_input: 10,
          cache_write_5m: 15,
          cache_write_1h: 5,
          audio_input: 3,
          image_input: 7,
        },
        ...{ output: 10, reasoning: 30, audio_output: 4, image_output: 6, search_medium: 2 },
      },
    ],
    [
      'with what the cache had of sounds, and videos',
      { prompt_tokens: '1459', completion_tokens: '396', total_tokens: '1855' },
      {
        usage_object: {
          prompt_tokens_details: {
            ...{ audio_tokens: 110, video_tokens: 20, cached_tokens: 1386 },
            cached_tokens_details: { text_tokens: 1312, audio_tokens: 64, image_tokens: 10 },
            image_tokens: 12,
          },
          completion_tokens_details: { audio_tokens: 299, video_tokens: 7 },
        },
      },
      {
        ...{
          cached_audio_input: 64,
          cached_input: 1322,
          audio_input: 46,
          video_input: 20,
          image_input: 2,
        },
        ...{ input: 5, output: 90, audio_output: 299, video_output: 7 },
      },
    ],
    [
      'with media of which the cache says nothing',
      { prompt_tokens: '5000', completion_tokens: '100', total_tokens: '5100' },
      {
        usage_object: {
          prompt_tokens_details: { cached_tokens: 4096, image_tokens: 4644, text_tokens: -3740 },
        },
      },
      { cached_input: 4096, image_input: 904, output: 100 },
    ],
    ['a total alone', { prompt_tokens: '0', completion_tokens: '0' }, undefined, { tokens: 30 }],
    [
      'a total that is more than its classes',
      { total_tokens: '50' },
      undefined,
      { input: 10, output: 20, tokens: 20 },
    ],
    ['no total', { total_tokens: 'null' }, undefined, { input: 10, output: 20 }],
    ['written as decimals', { prompt_tokens: '10.0' }, undefined, { input: 10, output: 20 }],
    [
      'the most there may be',
      { prompt_tokens: '999999980', total_tokens: '1e9' },
      undefined,
      { input: 999_999_980, output: 20 },
    ],
  ])('are counted %s', (_, fields, metadata, quantities) => {
    expect(callWith(fields, metadata).quantities).toEqual(quantities);
  });

  it.each(['-1', '1.5', '1e10', '1e400', '"ten"', '{}', '[]', 'true', 'NaN', 'Infinity', '""'])(
    '%s is no count',
    (json) => {
      for (const field of ['prompt_tokens', 'completion_tokens', 'total_tokens']) {
        expect(readWith({ [field]: json })).toMatchObject({ kind: 'unclear', problem: /^tokens/ });
      }
    },
  );

  it('are not understood when all are missing', () => {
    const none = { prompt_tokens: undefined, completion_tokens: undefined, total_tokens: undefined };
    expect(readWith(none).kind).toBe('unclear');
  });

  it.each<[what: string, usage: object, quantities: object, unexplainedTokens: number]>([
    ['more cached than there are', { cache_read_input_tokens: 11 }, { output: 20, tokens: 10 }, 10],
    [
      'more thoughts than output',
      { completion_tokens_details: { reasoning_tokens: 21 } },
      { input: 10, tokens: 20 },
      20,
    ],
    ['a part that is no count', { prompt_tokens_details: { audio_tokens: -5 } }, { tokens: 30 }, 30],
  ])('that contradict themselves wait for a review: %s', (_, usage_object, quantities, unexplainedTokens) => {
    expect(callWith({}, { usage_object })).toMatchObject({ quantities, unexplainedTokens });
    expect(Object.keys(callWith({}, { usage_object }).quantities)).toHaveLength(
      Object.keys(quantities).length,
    );
  });
});

describe('the service tier', () => {
  const served = (service_tier: unknown) => JSON.stringify({ service_tier, usage: {} });
  it.each<[what: string, fields: Record<string, string>, usage: object, tier: string]>([
    ['that served', { response: served('priority') }, { service_tier: 'flex' }, 'priority'],
    ['that of the usage', { model_parameters: served('flex') }, { service_tier: 'batch' }, 'batch'],
    ['that asked for', { model_parameters: served('flex') }, {}, 'flex'],
    ['standard, where less was served than asked for', { ...both('default', 'priority') }, {}, 'standard'],
    ['that asked for, where what was served says nothing', { ...both('auto', 'priority') }, {}, 'priority'],
    ['standard, where any will do', { model_parameters: served('auto') }, {}, 'standard'],
    ['standard, where it has no prices of its own', { response: served('scale') }, {}, 'standard'],
    ['standard, where it is no text', { response: served({}) }, {}, 'standard'],
    ['standard, where there is none', {}, {}, 'standard'],
  ])('is %s', (_, fields, usage, tier) => {
    expect(callWith(fields, { usage_object: usage }).serviceTier).toBe(tier);
  });

  function both(first: string, asked: string) {
    return { response: served(first), model_parameters: served(asked) };
  }
});

describe('the provider cost', () => {
  it.each<[json: string, cost: string | null]>([
    ['1.35e-05', '0.0000135'],
    ['4.499999999999999e-06', '0.000004499999999999999'],
    ['0.1234567890123456789012345', '0.1234567890123456789012345'],
    ['"0.25"', '0.25'],
    ['2', '2'],
    ['0', null],
    ['0.0', null],
    ['-0.0', null],
    ['null', null],
    ['-0.5', null],
    ['NaN', null],
    ['Infinity', null],
    ['1e30', null],
    ['1000000.01', null],
    ['"free"', null],
    ['{}', null],
  ])('%s is %s', (json, cost) => {
    expect(callWith({ response_cost: json }).providerCostUsd).toBe(cost);
  });

  it('is known to be 0 for an answer from the cache of the proxy', () => {
    expect(callWith({ response_cost: '0.0', cache_hit: 'true' }).providerCostUsd).toBe('0');
  });

  it('is unknown when it is missing', () => {
    expect(callWith({ response_cost: undefined }).providerCostUsd).toBeNull();
  });
});

describe('an event with nothing to charge', () => {
  const NO_TOKENS = { prompt_tokens: '0', completion_tokens: '0', total_tokens: '0', response_cost: '0.0' };

  it.each<[what: string, fields: Record<string, string | undefined>]>([
    ['a failure without tokens', { ...NO_TOKENS, status: '"failure"' }],
    [
      'a failure that says nothing of tokens',
      { status: '"failure"', prompt_tokens: 'null', completion_tokens: undefined, total_tokens: undefined },
    ],
    ['a failure of a model without a name', { ...NO_TOKENS, status: '"failure"', model: '""' }],
    ['a success without tokens and cost', NO_TOKENS],
  ])('is %s', (_, fields) => {
    expect(readWith(fields)).toEqual({ kind: 'nothing' });
  });

  it('is neither a failure with tokens nor a cost without tokens: those wait for a person', () => {
    expect(callWith({ status: '"failure"' })).toMatchObject({
      billingStatus: 'needs_review',
      metadata: { failed: true },
    });
    expect(callWith({ ...NO_TOKENS, response_cost: '0.04', call_type: '"aimage_generation"' })).toMatchObject(
      {
        billingStatus: 'needs_review',
        providerCostUsd: '0.04',
        service: 'litellm',
      },
    );
  });

  it('is no aborted stream, which is charged for what it had', () => {
    const aborted = callWith({
      error_information: '{"error_code":"499","error_class":"ClientDisconnected"}',
    });
    expect(aborted).toMatchObject({ billingStatus: 'billed', metadata: { aborted: true } });
  });
});

describe('an event that is not understood', () => {
  const UNLISTED = { model_map_information: undefined };
  it.each<[fields: Record<string, string | undefined>, problem: RegExp]>([
    [{ status: undefined }, /^status/],
    [{ status: '"pending"' }, /^status/],
    [{ ...UNLISTED, model: undefined }, /^model/],
    [{ ...UNLISTED, model: '""' }, /^model/],
    [{ ...UNLISTED, model: JSON.stringify('x'.repeat(101)) }, /^model/],
    [{ ...UNLISTED, model: '"a\\nb"' }, /^model/],
    [{ ...UNLISTED, model: '"a\\u0000b"' }, /^model/],
    [{ ...UNLISTED, model: '{}' }, /^model/],
    [{ startTime: undefined }, /^startTime/],
    [{ startTime: '"yesterday"' }, /^startTime/],
    [{ endTime: 'null' }, /^endTime/],
    [{ endTime: '0' }, /^endTime/],
    [{ endTime: '-1' }, /^endTime/],
    [{ endTime: '1e15' }, /^endTime/],
    [{ endTime: '1795250279846' }, /^endTime/],
    [{ endTime: '{}' }, /^endTime/],
  ])('says why: %j', (fields, problem) => {
    expect(readWith(fields)).toEqual({ kind: 'unclear', problem: expect.stringMatching(problem) as string });
  });

  it.each([null, 5, 'text', [], [EVENT], {}, { metadata: [] }])(
    'is anything but a payload: %j',
    (element) => {
      expect(readEvent(reduceEvent(element), NOW, false).kind).toBe('unclear');
    },
  );
});

describe('the user that a call names', () => {
  it.each<[what: string, metadata: object, endUser: string | null, names: (string | null)[]]>([
    ['the user of the key', { user_api_key_user_id: 'alice' }, null, ['alice', null, 'alice']],
    ['before the end user', { user_api_key_user_id: 'alice' }, 'bob', ['alice', null, 'alice']],
    ['the end user, when the key has none', { user_api_key_user_id: null }, 'bob', [null, 'bob', 'bob']],
    [
      'the end user, with the master key',
      { user_api_key_user_id: 'default_user_id' },
      'bob',
      [null, 'bob', 'bob'],
    ],
    ['no user, with an empty end user', { user_api_key_user_id: '' }, '', [null, null, null]],
    ['no user here, with an end user of another form', {}, 'x'.repeat(51), [null, null, 'x'.repeat(51)]],
    [
      'no end user in place of a key’s user of another form',
      { user_api_key_user_id: 'all' },
      'bob',
      [null, null, 'all'],
    ],
  ])('%s', (_, metadata, endUser, [user, end, claimed]) => {
    const fields = { end_user: JSON.stringify(endUser) };
    expect(callWith(fields, metadata, false).userId).toBe(user);
    expect(callWith(fields, metadata, true).userId).toBe(user ?? end);
    const event = reduceEvent({ ...EVENT, metadata, end_user: endUser });
    expect(claimedUser(event, true)).toBe(claimed);
    expect(claimedUser(event, false)).toBe(claimed === endUser ? null : claimed);
  });

  it('may be known by the hash of one of our keys', () => {
    expect(callWith({}, { user_api_key_hash: KEY_HASH }).keyHash).toBe(KEY_HASH);
    expect(callWith({}, { user_api_key_hash: 'sk-not-a-hash' }).keyHash).toBeNull();
  });

  it('knows the groups of the key, the team first, and none that cannot be set', () => {
    const groupsOf = (team: unknown, organization: unknown) =>
      callWith({}, { user_api_key_team_id: team, user_api_key_org_id: organization }).groups;
    expect(groupsOf('t', 'o')).toEqual([
      { kind: 'team', id: 't' },
      { kind: 'organization', id: 'o' },
    ]);
    expect(groupsOf(null, 'o')).toEqual([{ kind: 'organization', id: 'o' }]);
    expect([groupsOf('', undefined), groupsOf({}, 'a\u0000')]).toEqual([[], []]);
    expect(groupsOf('t'.repeat(201), null)[0]?.id.length).toBeGreaterThan(200);
  });
});

describe('the model', () => {
  it.each<[what: string, fields: Record<string, string | undefined>, model: string, models: string[]]>([
    [
      'without the provider, as the price list has it',
      {},
      'gpt-4o-mini',
      ['openai/gpt-4o-mini', 'gpt-4o-mini', 'mock'],
    ],
    [
      'the entry of the price list that the proxy found',
      {
        model: '"azure/my-deployment"',
        custom_llm_provider: '"azure"',
        model_map_information: '{"model_map_value":{"key":"azure/gpt-4o"}}',
      },
      'azure/gpt-4o',
      ['azure/my-deployment', 'azure/gpt-4o', 'my-deployment', 'mock'],
    ],
    [
      'as it came, of an unnamed provider',
      {
        model: '"local/llama"',
        custom_llm_provider: undefined,
        model_map_information: undefined,
        model_group: undefined,
      },
      'local/llama',
      ['local/llama'],
    ],
    [
      'the entry, where the name is too long for one',
      { model: JSON.stringify('x'.repeat(101)) },
      'gpt-4o-mini',
      ['gpt-4o-mini', 'mock'],
    ],
    [
      'the name without the provider, where it is too long with it',
      { model: JSON.stringify(`openai/${'x'.repeat(100)}`), model_map_information: undefined },
      'x'.repeat(100),
      ['x'.repeat(100), 'mock'],
    ],
    [
      'with the provider, where the list has it so',
      {
        model: '"gemini-2.0-flash"',
        custom_llm_provider: '"gemini"',
        model_map_information: '{}',
        model_group: '""',
      },
      'gemini-2.0-flash',
      ['gemini-2.0-flash', 'gemini/gemini-2.0-flash'],
    ],
  ])('is %s', (_, fields, model, models) => {
    const call = callWith(fields);
    expect(call.model).toBe(model);
    expect([...new Set(call.models)]).toEqual(models);
  });
});

describe('the time', () => {
  it.each([
    ['1795250279.846899', '2026-11-21T08:37:59.846899Z'],
    ['1795250279', '2026-11-21T08:37:59.000000Z'],
    ['1.795250279846899e9', '2026-11-21T08:37:59.846899Z'],
    ['1795250279.8468991', '2026-11-21T08:37:59.846899Z'],
    ['"2026-11-21T09:37:59.846+01:00"', '2026-11-21T08:37:59.846Z'],
  ])('%s is %s', (json, time) => {
    expect(callWith({ endTime: json }).timestamp).toBe(time);
  });
});

describe('the service', () => {
  it.each([
    ['acompletion', 'chat'],
    ['completion', 'chat'],
    ['atext_completion', 'chat'],
    ['aresponses', 'chat'],
    ['anthropic_messages', 'chat'],
    ['aembedding', 'embeddings'],
    ['arerank', 'litellm'],
    ['', 'litellm'],
  ])('of %s is %s', (callType, service) => {
    expect(callWith({ call_type: JSON.stringify(callType) }).service).toBe(service);
  });
});

describe('the fingerprint', () => {
  it('is the same for the same event, however its numbers are written, and whatever it contains besides', () => {
    const same = callWith({
      messages: '"another"',
      response_cost: '7',
      prompt_tokens: '10.0',
      startTime: '1.795250279825764e9',
    });
    expect(same.fingerprint).toBe(callWith().fingerprint);
  });

  it.each<[field: string, json: string]>([
    ['id', '"chatcmpl-2"'],
    ['litellm_call_id', '"another"'],
    ['startTime', '1795250279.825765'],
    ['endTime', '1795250279.9'],
    ['model', '"openai/gpt-4o"'],
    ['prompt_tokens', '11'],
    ['completion_tokens', '21'],
    ['metadata', `{"user_api_key_user_id":"alice","user_api_key_hash":"${'0'.repeat(64)}"}`],
  ])('is another with another %s', (field, json) => {
    expect(callWith({ [field]: json }).fingerprint).not.toBe(callWith().fingerprint);
  });
});

describe('the request id', () => {
  it.each<[what: string, id: string | undefined, callId: string | undefined, requestId: RegExp]>([
    ['the id', '"chatcmpl-1"', '"uuid"', /^litellm:chatcmpl-1$/],
    [
      'the id of a cache hit',
      '"chatcmpl-1_cache_hit1795250282.78"',
      '"uuid"',
      /^litellm:chatcmpl-1_cache_hit1795250282.78$/,
    ],
    ['the fingerprint instead of the text None', '"None"', '"uuid"', /^litellm:[0-9a-f]{64}$/],
    ['the fingerprint instead of none', 'null', '"uuid"', /^litellm:[0-9a-f]{64}$/],
    ['the fingerprint instead of an empty one', '""', '"uuid"', /^litellm:[0-9a-f]{64}$/],
    ['the fingerprint instead of what is no text', '{}', '"uuid"', /^litellm:[0-9a-f]{64}$/],
    [
      'a digest of what could be a fingerprint',
      JSON.stringify('a'.repeat(64)),
      '"uuid"',
      /^litellm:(?!a{64}$)/,
    ],
    ['a digest of a long one', JSON.stringify('i'.repeat(180)), undefined, /^litellm:[0-9a-f]{64}$/],
    ['a digest of a strange one', '" a\\nb"', undefined, /^litellm:[0-9a-f]{64}$/],
  ])('is %s', (_, id, callId, requestId) => {
    const call = callWith({ id, litellm_call_id: callId });
    expect(call.requestId).toMatch(requestId);
    expect(call.fallbackRequestId).toBe(`litellm:${call.fingerprint}`);
  });
});
