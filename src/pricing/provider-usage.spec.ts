import { describe, expect, it } from 'vitest';
import { normaliseUsage, type Provider, UsageProblem } from './provider-usage.js';

/** Usage objects as the providers' documentation shows them, and what each token of them is. */
const GOLDEN: [string, Provider, Record<string, unknown>, Record<string, number>, number?][] = [
  [
    'a chat completion with cached input',
    'openai',
    {
      prompt_tokens: 2006,
      completion_tokens: 300,
      total_tokens: 2306,
      prompt_tokens_details: { cached_tokens: 1920, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0, accepted_prediction_tokens: 0 },
    },
    { cached_input: 1920, input: 86, output: 300 },
  ],
  [
    'a response with reasoning',
    'openai',
    {
      input_tokens: 75,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: 1186,
      output_tokens_details: { reasoning_tokens: 1024 },
      total_tokens: 1261,
    },
    { input: 75, reasoning: 1024, output: 162 },
  ],
  ['an embedding', 'openai', { prompt_tokens: 8, total_tokens: 8 }, { input: 8 }],
  [
    'an image',
    'openai',
    {
      total_tokens: 100,
      input_tokens: 50,
      output_tokens: 50,
      input_tokens_details: { text_tokens: 10, image_tokens: 40 },
      output_tokens_details: { image_tokens: 50, text_tokens: 0 },
    },
    { image_input: 40, input: 10, image_output: 50 },
  ],
  [
    'a realtime response with cached audio',
    'openai',
    {
      total_tokens: 253,
      input_tokens: 132,
      output_tokens: 121,
      input_token_details: {
        text_tokens: 119,
        audio_tokens: 13,
        cached_tokens: 64,
        cached_tokens_details: { text_tokens: 60, audio_tokens: 4 },
      },
      output_token_details: { text_tokens: 30, audio_tokens: 91 },
    },
    { cached_audio_input: 4, cached_input: 60, audio_input: 9, input: 59, audio_output: 91, output: 30 },
  ],
  ['a transcription by its duration', 'openai', { type: 'duration', seconds: 9 }, { seconds: 9 }],
  [
    'cache reads, and writes for five minutes and an hour',
    'anthropic',
    {
      input_tokens: 2048,
      cache_read_input_tokens: 1800,
      cache_creation_input_tokens: 248,
      output_tokens: 503,
      cache_creation: { ephemeral_5m_input_tokens: 148, ephemeral_1h_input_tokens: 100 },
      service_tier: 'standard',
    },
    { cached_input: 1800, cache_write_1h: 100, cache_write_5m: 148, input: 2048, output: 503 },
  ],
  [
    'a web search',
    'anthropic',
    {
      input_tokens: 6039,
      output_tokens: 931,
      cache_read_input_tokens: 0,
      server_tool_use: { web_search_requests: 1 },
    },
    { input: 6039, output: 931, search_medium: 1 },
  ],
  [
    'a conversation with a cache',
    'bedrock',
    {
      inputTokens: 125,
      outputTokens: 60,
      totalTokens: 785,
      cacheReadInputTokens: 500,
      cacheWriteInputTokens: 100,
      cacheDetails: [
        { ttl: '1h', inputTokens: 40 },
        { ttl: '5m', inputTokens: 60 },
      ],
    },
    { cached_input: 500, cache_write_1h: 40, cache_write_5m: 60, input: 125, output: 60 },
  ],
  [
    'a tool, and an image of which a part is cached',
    'gemini',
    {
      promptTokenCount: 300,
      cachedContentTokenCount: 100,
      toolUsePromptTokenCount: 20,
      candidatesTokenCount: 30,
      totalTokenCount: 350,
      promptTokensDetails: [
        { modality: 'TEXT', tokenCount: 42 },
        { modality: 'IMAGE', tokenCount: 258 },
      ],
      cacheTokensDetails: [{ modality: 'IMAGE', tokenCount: 100 }],
    },
    { cached_input: 100, image_input: 158, input: 62, output: 30 },
  ],
  [
    'thoughts beside the answer',
    'gemini',
    {
      promptTokenCount: 264,
      candidatesTokenCount: 30,
      thoughtsTokenCount: 50,
      totalTokenCount: 344,
      promptTokensDetails: [
        { modality: 'TEXT', tokenCount: 6 },
        { modality: 'IMAGE', tokenCount: 258 },
      ],
    },
    { image_input: 258, input: 6, reasoning: 50, output: 30 },
  ],
  [
    // https://github.com/BerriAI/litellm/issues/18750
    'an image of which the cache says nothing',
    'gemini',
    {
      promptTokenCount: 5000,
      cachedContentTokenCount: 4096,
      candidatesTokenCount: 100,
      totalTokenCount: 5100,
      promptTokensDetails: [
        { modality: 'IMAGE', tokenCount: 4644 },
        { modality: 'TEXT', tokenCount: 356 },
      ],
    },
    { cached_input: 4096, image_input: 904, output: 100 },
  ],
  [
    'pictures, a video and sound of which the cache says nothing',
    'gemini',
    {
      promptTokenCount: 100,
      cachedContentTokenCount: 90,
      totalTokenCount: 100,
      promptTokensDetails: ['IMAGE', 'VIDEO', 'AUDIO', 'TEXT'].map((modality) => ({
        modality,
        tokenCount: 25,
      })),
    },
    { cached_input: 90, audio_input: 10 },
  ],
  [
    'cached images of a prompt without details',
    'gemini',
    {
      promptTokenCount: 300,
      cachedContentTokenCount: 100,
      totalTokenCount: 300,
      cacheTokensDetails: [{ modality: 'IMAGE', tokenCount: 100 }],
    },
    { cached_input: 100, input: 200 },
  ],
  [
    'thoughts within the answer',
    'gemini',
    { promptTokenCount: 57, candidatesTokenCount: 100, thoughtsTokenCount: 60, totalTokenCount: 157 },
    { input: 57, reasoning: 60, output: 40 },
  ],
  [
    // https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/grok/capabilities/reasoning
    'reasoning beside the answer',
    'openai',
    {
      prompt_tokens: 32,
      completion_tokens: 50,
      total_tokens: 382,
      completion_tokens_details: { reasoning_tokens: 300 },
    },
    { input: 32, reasoning: 300, output: 50 },
  ],
  [
    'a video read and made',
    'openai',
    {
      prompt_tokens: 100,
      completion_tokens: 50,
      prompt_tokens_details: { video_tokens: 90 },
      completion_tokens_details: { video_tokens: 45 },
    },
    { video_input: 90, input: 10, video_output: 45, output: 5 },
  ],
  [
    'a chat by billed units',
    'cohere',
    {
      billed_units: { input_tokens: 5, output_tokens: 418 },
      tokens: { input_tokens: 71, output_tokens: 418 },
    },
    { input: 5, output: 418 },
  ],
  ['a ranking', 'cohere', { billed_units: { search_units: 1 } }, { queries: 1 }],
  [
    'a call with a cache write',
    'openrouter',
    {
      completion_tokens: 2,
      completion_tokens_details: { reasoning_tokens: 0 },
      cost: 0.95,
      cost_details: { upstream_inference_cost: 19 },
      prompt_tokens: 194,
      prompt_tokens_details: { cached_tokens: 0, cache_write_tokens: 100, audio_tokens: 0 },
      total_tokens: 196,
    },
    { cache_write_5m: 100, input: 94, output: 2 },
  ],
  [
    'a total that the classes do not explain',
    'openai',
    { prompt_tokens: 758, completion_tokens: 102, total_tokens: 1725 },
    { input: 758, output: 102 },
    865,
  ],
  [
    'more cached tokens than there are',
    'openai',
    { prompt_tokens: 5, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 6 } },
    { output: 7 },
    5,
  ],
  [
    'more cached audio than is cached',
    'openai',
    {
      prompt_tokens: 1459,
      completion_tokens: 3,
      total_tokens: 1462,
      prompt_tokens_details: {
        audio_tokens: 110,
        cached_tokens: 50,
        cached_tokens_details: { audio_tokens: 64 },
      },
    },
    { audio_input: 110, input: 1299, output: 3 },
    50,
  ],
  [
    'more reasoning than there are tokens of output',
    'openai',
    {
      prompt_tokens: 5,
      completion_tokens: 7,
      total_tokens: 12,
      completion_tokens_details: { reasoning_tokens: 8 },
    },
    { input: 5 },
    7,
  ],
  [
    'more media than the prompt has, and no cache',
    'gemini',
    { promptTokenCount: 5, totalTokenCount: 5, promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 6 }] },
    { tokens: 0 },
    5,
  ],
  [
    'more writes for an hour than writes',
    'anthropic',
    { input_tokens: 5, cache_creation_input_tokens: 2, cache_creation: { ephemeral_1h_input_tokens: 3 } },
    { input: 5 },
    2,
  ],
  [
    'more tokens than its total',
    'openai',
    { prompt_tokens: 5, completion_tokens: 6, total_tokens: 10 },
    { tokens: 0 },
    11,
  ],
];

describe('usage of each provider', () => {
  it.each(GOLDEN)('%s (%s)', (_, provider, usage, quantities, unexplainedTokens = 0) => {
    expect(normaliseUsage(provider, usage)).toEqual({ quantities, unexplainedTokens });
  });

  it.each<[string, Provider, Record<string, unknown>, RegExp]>([
    [
      'of another provider',
      'openai',
      { input_tokens: 1, cache_read_input_tokens: 1 },
      /not the usage of openai/,
    ],
    ['of another provider', 'anthropic', { input_tokens: 1, total_tokens: 1 }, /not the usage of anthropic/],
    ['of another provider', 'bedrock', { prompt_tokens: 1, inputTokens: 1 }, /not the usage of bedrock/],
    ['of no provider', 'gemini', { tokens: 1 }, /none of promptTokenCount/],
    ['with a negative count', 'openai', { prompt_tokens: -1 }, /prompt_tokens that is not a whole number/],
    ['with half a token', 'openai', { prompt_tokens: 1.5 }, /prompt_tokens that is not a whole number/],
    ['with a text', 'anthropic', { input_tokens: '5' }, /input_tokens that is not a whole number/],
    ['with more than any call has', 'openai', { prompt_tokens: 1_000_000_001 }, /more than 1000000000/],
    [
      'with more than any call has that nothing explains',
      'openai',
      { prompt_tokens: 1, total_tokens: 1_000_000_002 },
      /more than 1000000000/,
    ],
    [
      'with more than any call has in two fields',
      'gemini',
      { promptTokenCount: 600_000_000, toolUsePromptTokenCount: 600_000_000 },
      /more than 1000000000/,
    ],
  ])('%s is refused (%s)', (_, provider, usage, problem) => {
    expect(() => normaliseUsage(provider, usage)).toThrow(UsageProblem);
    expect(() => normaliseUsage(provider, usage)).toThrow(problem);
  });
});
