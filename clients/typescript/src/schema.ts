/** Generated from openapi.json by scripts/schema.js. Do not edit. */

export interface paths {
  '/api/streaming-sessions/initialize': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Start a session and hold its estimated cost plus a buffer
     * @description Call it before the stream starts. It takes credits out of the balance and asks every budget in one step; a refusal (402, 429) changes nothing. Repeated with the same content it answers 200 with the same session.
     */
    post: operations['initializeSession'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/api/streaming-sessions/progress': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Report progress, which renews the lease and grows the hold if needed
     * @description Call it while the stream runs, with the tokens generated since its start. Stop the stream when `shouldStop` is true. Fewer tokens than before change nothing.
     */
    post: operations['reportProgress'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/api/streaming-sessions/finalize': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Finalize a session: charge the tokens used and return the remaining credits
     * @description Call it when the stream has ended. It is never refused for a lack of credits: what cannot be paid waits for a review. Repeated with the same content it gives the same answer. After a time-out it settles the difference once.
     */
    post: operations['finalizeSession'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/api/streaming-sessions/abort': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Abort a session: charge the tokens generated and return the remaining credits
     * @description Call it when the stream has failed or was cancelled; without `tokensGenerated` the last reported progress is charged. Repeated with the same content it gives the same answer.
     */
    post: operations['abortSession'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/api/usage/charge': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Price, debit and record a finished call
     * @description Idempotent by `requestId`: a repeated request returns 200 with the same record.
     */
    post: operations['chargeUsage'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
}
export type webhooks = Record<string, never>;
export interface components {
  schemas: {
    /** @description Has exactly one of these: `estimatedTokens`; `estimatedInputTokens` and `estimatedOutputTokens`; `inputTokens` and `maxOutputTokens` */
    InitializeSessionDto: {
      /**
       * @description The caller’s id for the stream, unique per user
       * @example session-1
       */
      sessionId: string;
      /**
       * @description The model
       * @example anthropic.claude-3-sonnet-20240229-v1:0
       */
      modelId: string;
      /**
       * Format: int64
       * @description Expected total tokens
       * @example 1000
       */
      estimatedTokens?: number;
      /**
       * Format: int64
       * @description Expected input tokens
       */
      estimatedInputTokens?: number;
      /**
       * Format: int64
       * @description Expected output tokens
       */
      estimatedOutputTokens?: number;
      /**
       * Format: int64
       * @description Input tokens of the call. With `maxOutputTokens` it takes the place of an estimate: the service holds what most calls of the model with an input of this size have needed, at most the cost of the maximum
       */
      inputTokens?: number;
      /**
       * Format: int64
       * @description The most output tokens that the call may have, as the provider is asked for
       */
      maxOutputTokens?: number;
      /** @description What the call is for: at most 10 names of letters, digits and `_.-`, each with a text of at most 100 characters. Budgets can be made for a tag */
      tags?: {
        [key: string]: string;
      } | null;
      /** @description The user to act for; required from a trusted service that does not forward a user’s token */
      userId?: string;
      /** @description The account that pays: an organisation of the user; if omitted, the user’s personal account */
      accountId?: string;
    };
    SessionStartedDto: {
      /**
       * Format: int64
       * @example 1
       */
      id: number;
      /** @example session-1 */
      sessionId: string;
      /**
       * @description The account that pays
       * @example alice
       */
      accountId: string;
      /** @example alice */
      userId: string;
      /** @example anthropic.claude-3-sonnet-20240229-v1:0 */
      modelId: string;
      /**
       * Format: int64
       * @description Cost of the estimate
       * @example 3
       */
      estimatedCredits: number;
      /**
       * Format: int64
       * @description Credits held: the cost of the estimate plus the buffer
       * @example 4
       */
      allocatedCredits: number;
      /**
       * Format: int64
       * @example 0
       */
      usedCredits: number;
      /** @example active */
      status: components['schemas']['SessionStatus'];
      /**
       * Format: date-time
       * @example 2026-11-21T12:00:00.000Z
       */
      startedAt: string;
      /**
       * Format: date-time
       * @description End of the lease, which progress renews
       * @example 2026-11-21T12:00:00.000Z
       */
      expiresAt: string;
      /**
       * Format: date-time
       * @description When the session ended; null while it is active
       * @example null
       */
      completedAt: string | null;
      /**
       * Format: int64
       * @description Credits left after the hold: the balance; in an organisation no more than fits the budgets of the call
       * @example 996
       */
      remainingCredits: number;
      /**
       * @description Where the price comes from
       * @example default
       */
      pricingSource: components['schemas']['PricingSource'];
      /**
       * @description The model of the rule, or the pattern of models; differs from `modelId` where that has no rule of its own
       * @example anthropic.claude-3-sonnet-20240229-v1:0
       */
      pricedAs: string;
      /**
       * @description Who estimated the output tokens: the `caller`, the service from earlier calls (`learned`), or none: the hold covers `maxOutputTokens` (`ceiling`)
       * @example caller
       */
      estimateSource: components['schemas']['EstimateSource'];
      /**
       * Format: int64
       * @description The output tokens that the balance and the budgets could pay for at the start, the hold included, at most 10^9; null without `maxOutputTokens`
       * @example null
       */
      maxAffordableTokens: number | null;
    };
    /** @enum {string} */
    SessionStatus: 'active' | 'completed' | 'failed';
    /** @enum {string} */
    PricingSource: 'rule' | 'default' | 'fallback';
    /** @enum {string} */
    EstimateSource: 'caller' | 'learned' | 'ceiling';
    ProblemDto: {
      /**
       * @description URN that contains the code
       * @example urn:problem-type:validation.failed
       */
      type: string;
      /**
       * @description The HTTP status as text
       * @example Bad Request
       */
      title: string;
      /**
       * @description The HTTP status
       * @example 400
       */
      status: number;
      /**
       * @description What went wrong, for people to read
       * @example credits: must be a whole number from 1 to 1000000000000
       */
      detail: string;
      /**
       * @description The same as detail
       * @example credits: must be a whole number from 1 to 1000000000000
       */
      message: string;
      /**
       * @description What went wrong, for programs. The meaning of a code never changes. Later versions may add codes: treat one that you do not know by its `status`
       * @example validation.failed
       */
      code: string;
      /**
       * @description Id of the request in the logs
       * @example 5f0c7e8e-8a55-4c66-9d6e-6f2a4f1c0b7d
       */
      requestId: string;
      /** @description The invalid fields */
      errors?: components['schemas']['FieldErrorDto'][];
    };
    FieldErrorDto: {
      /**
       * @description Path of the field
       * @example credits
       */
      field: string;
      /**
       * @description What is wrong with the field
       * @example must be a whole number from 1 to 1000000000000
       */
      message: string;
    };
    InsufficientCreditsDto: {
      /**
       * @description URN that contains the code
       * @example urn:problem-type:credits.insufficient
       */
      type: string;
      /**
       * @description The HTTP status as text
       * @example Payment Required
       */
      title: string;
      /**
       * @description The HTTP status
       * @example 402
       */
      status: number;
      /**
       * @description What went wrong, for people to read
       * @example Insufficient credits
       */
      detail: string;
      /**
       * @description The same as detail
       * @example Insufficient credits
       */
      message: string;
      /**
       * @description `credits.insufficient`: the balance is too low; `budget.exceeded`: a budget of credits is
       * @example credits.insufficient
       */
      code: string;
      /**
       * @description Id of the request in the logs
       * @example 5f0c7e8e-8a55-4c66-9d6e-6f2a4f1c0b7d
       */
      requestId: string;
      /** @description The invalid fields */
      errors?: components['schemas']['FieldErrorDto'][];
      /**
       * Format: int64
       * @description Credits needed
       * @example 4
       */
      requiredCredits: number;
      /**
       * Format: int64
       * @description Credits available
       * @example 3
       */
      availableCredits: number;
      /**
       * Format: int64
       * @description The largest estimate that the balance and every budget have room for, in output tokens if the request estimates input and output tokens, otherwise in total tokens. Only when starting a session
       * @example 666
       */
      maxAffordableTokens?: number;
      /** @description Every budget that stands in the way */
      limits?: components['schemas']['LimitDto'][];
    };
    LimitDto: {
      /**
       * Format: int64
       * @example 7
       */
      budgetId: number;
      /** @example unit */
      scope: string;
      /** @example 3 */
      scopeId: string | null;
      /**
       * @description What the budget counts
       * @example credits
       */
      unit: string;
      /** @example month */
      window: string;
      /**
       * Format: int64
       * @description The amount with its raises
       * @example 1000
       */
      limit: number;
      /**
       * Format: int64
       * @example 990
       */
      used: number;
      /**
       * Format: int64
       * @description Reserved by open sessions
       * @example 8
       */
      held: number;
      /**
       * Format: date-time
       * @description End of the period; null: it has none
       * @example 2026-12-01T00:00:00.000Z
       */
      resetsAt: string | null;
    };
    RateProblemDto: {
      /**
       * @description URN that contains the code
       * @example urn:problem-type:validation.failed
       */
      type: string;
      /**
       * @description The HTTP status as text
       * @example Bad Request
       */
      title: string;
      /**
       * @description The HTTP status
       * @example 400
       */
      status: number;
      /**
       * @description What went wrong, for people to read
       * @example credits: must be a whole number from 1 to 1000000000000
       */
      detail: string;
      /**
       * @description The same as detail
       * @example credits: must be a whole number from 1 to 1000000000000
       */
      message: string;
      /**
       * @description What went wrong, for programs. The meaning of a code never changes. Later versions may add codes: treat one that you do not know by its `status`
       * @example validation.failed
       */
      code: string;
      /**
       * @description Id of the request in the logs
       * @example 5f0c7e8e-8a55-4c66-9d6e-6f2a4f1c0b7d
       */
      requestId: string;
      /** @description The invalid fields */
      errors?: components['schemas']['FieldErrorDto'][];
      /**
       * Format: int64
       * @description Credits needed
       * @example 4
       */
      requiredCredits?: number;
      /**
       * Format: int64
       * @description Credits available
       * @example 3
       */
      availableCredits?: number;
      /**
       * Format: int64
       * @description The largest estimate that the balance and every budget have room for, in output tokens if the request estimates input and output tokens, otherwise in total tokens. Only when starting a session
       * @example 666
       */
      maxAffordableTokens?: number;
      /** @description Every budget that stands in the way */
      limits?: components['schemas']['LimitDto'][];
    };
    ProgressDto: {
      /**
       * @description The caller’s id for the stream, unique per user
       * @example session-1
       */
      sessionId: string;
      /**
       * Format: int64
       * @description Tokens generated since the start of the stream
       * @example 500
       */
      tokensGenerated: number;
      /** @description The user to act for; required from a trusted service that does not forward a user’s token */
      userId?: string;
      /** @description The account that pays: an organisation of the user; if omitted, the user’s personal account */
      accountId?: string;
    };
    SessionProgressDto: {
      /** @example session-1 */
      sessionId: string;
      /** @example active */
      status: components['schemas']['SessionStatus'];
      /**
       * Format: int64
       * @description Highest number of tokens reported so far
       * @example 500
       */
      tokensGenerated: number;
      /**
       * Format: int64
       * @description Cost of these tokens
       * @example 2
       */
      usedCredits: number;
      /**
       * Format: int64
       * @description Credits held
       * @example 4
       */
      allocatedCredits: number;
      /**
       * @description Whether the stream should be stopped because the credits do not cover what it needs next, or because the user is no longer a member of the organisation
       * @example true
       */
      shouldStop: boolean;
      /**
       * @description What stands in the way of going on: the balance, a budget of credits, a limit of tokens or sessions, or that the user is no longer a member of the organisation (`account.not_found`); null if `shouldStop` is false
       * @example budget.exceeded
       */
      reason: components['schemas']['StopReason'] | null;
      /** @description Every budget that stands in the way */
      limits: components['schemas']['LimitDto'][];
      /**
       * Format: int64
       * @description The number of generated tokens that the hold and the balance can pay for, at most 10^9: output tokens if the session was started with estimates of input and output tokens, otherwise total tokens
       * @example 500
       */
      maxAffordableTokens: number;
      /**
       * Format: date-time
       * @description The new end of the lease
       * @example 2026-11-21T12:00:00.000Z
       */
      expiresAt: string;
    };
    /** @enum {string} */
    StopReason: 'credits.insufficient' | 'budget.exceeded' | 'limit.exceeded' | 'account.not_found';
    /** @description Has exactly one of these: `actualTokens`; `inputTokens` and `outputTokens`; `quantities`; `provider` and `usage` */
    FinalizeSessionDto: {
      /** @description What the call used, by class, in place of token counts. Each token is in one class only: `input` excludes cached tokens, `output` excludes reasoning */
      quantities?: components['schemas']['QuantitiesDto'];
      /** @description The provider whose `usage` object describes the call */
      provider?: components['schemas']['UsageProvider'];
      /** @description The provider’s own usage object, unchanged, in place of token counts */
      usage?: {
        [key: string]: unknown;
      } | null;
      /** @description The provider’s service tier, whose prices apply where the model has some; defaults to `standard` */
      serviceTier?: components['schemas']['ServiceTier'];
      /** @description Where the counts come from: reported by the `provider` when the call ended, `drained` from it after the client had left, or `estimated` from what was seen; defaults to `provider` where `usage` is given, otherwise to null */
      usageSource?: components['schemas']['UsageSource'];
      /** @description The size of the call’s web searches, or of one where the usage counts none */
      searchContextSize?: components['schemas']['SearchContextSize'];
      /**
       * Format: int64
       * @description Images made, beside the tokens
       */
      images?: number;
      /**
       * Format: int64
       * @description Seconds of audio or video processed, beside the tokens
       */
      seconds?: number;
      /**
       * @description The caller’s id for the stream, unique per user
       * @example session-1
       */
      sessionId: string;
      /**
       * Format: int64
       * @description Total tokens used
       * @example 700
       */
      actualTokens?: number;
      /**
       * Format: int64
       * @description Input tokens used, excluding cached ones
       */
      inputTokens?: number;
      /**
       * Format: int64
       * @description Output tokens used
       */
      outputTokens?: number;
      /**
       * Format: int64
       * @description Input tokens read from the provider’s cache
       */
      cachedInputTokens?: number;
      /**
       * @description Whether the stream completed successfully
       * @default true
       * @example true
       */
      success: boolean;
      /**
       * @description What the provider charged, in USD. If omitted or null, it is computed from the pricing rule where possible
       * @example 0.0021
       */
      providerCostUsd?: string | number;
      /** @description The user to act for; required from a trusted service that does not forward a user’s token */
      userId?: string;
      /** @description The account that pays: an organisation of the user; if omitted, the user’s personal account */
      accountId?: string;
    };
    QuantitiesDto: {
      /** Format: int64 */
      tokens?: number;
      /** Format: int64 */
      input?: number;
      /** Format: int64 */
      cached_input?: number;
      /** Format: int64 */
      cache_write_5m?: number;
      /** Format: int64 */
      cache_write_1h?: number;
      /** Format: int64 */
      output?: number;
      /** Format: int64 */
      reasoning?: number;
      /** Format: int64 */
      audio_input?: number;
      /** Format: int64 */
      cached_audio_input?: number;
      /** Format: int64 */
      audio_cache_write?: number;
      /** Format: int64 */
      audio_output?: number;
      /** Format: int64 */
      image_input?: number;
      /** Format: int64 */
      image_output?: number;
      /** Format: int64 */
      video_input?: number;
      /** Format: int64 */
      video_output?: number;
      /** Format: int64 */
      citation?: number;
      /** Format: int64 */
      input_characters?: number;
      /** Format: int64 */
      output_characters?: number;
      /** Format: int64 */
      input_images?: number;
      /** Format: int64 */
      images?: number;
      /** Format: int64 */
      pixels?: number;
      /** Format: int64 */
      seconds?: number;
      /** Format: int64 */
      seconds_1080p?: number;
      /** Format: int64 */
      audio_input_seconds?: number;
      /** Format: int64 */
      video_input_seconds?: number;
      /** Format: int64 */
      pages?: number;
      /** Format: int64 */
      annotated_pages?: number;
      /** Format: int64 */
      queries?: number;
      /** Format: int64 */
      requests?: number;
      /** Format: int64 */
      search_low?: number;
      /** Format: int64 */
      search_medium?: number;
      /** Format: int64 */
      search_high?: number;
      /** Format: int64 */
      code_interpreter_sessions?: number;
    };
    /** @enum {string} */
    UsageProvider: 'openai' | 'anthropic' | 'bedrock' | 'gemini' | 'cohere' | 'openrouter';
    /** @enum {string} */
    ServiceTier: 'standard' | 'batch' | 'flex' | 'priority';
    /** @enum {string} */
    UsageSource: 'provider' | 'drained' | 'estimated';
    /** @enum {string} */
    SearchContextSize: 'low' | 'medium' | 'high';
    SessionSettledDto: {
      /**
       * Format: int64
       * @example 1
       */
      id: number;
      /** @example session-1 */
      sessionId: string;
      /**
       * @description The account that pays
       * @example alice
       */
      accountId: string;
      /** @example alice */
      userId: string;
      /** @example completed */
      status: components['schemas']['SettledSessionStatus'];
      /**
       * Format: int64
       * @example 3
       */
      estimatedCredits: number;
      /**
       * Format: int64
       * @description Cost of the call
       * @example 3
       */
      actualCredits: number;
      /**
       * Format: int64
       * @description Credits of the hold that were returned
       * @example 1
       */
      refund: number;
      /**
       * Format: int64
       * @description Cost above the hold
       * @example 0
       */
      overage: number;
      /**
       * Format: int64
       * @description The part of the cost that waits for review: the account could not pay it, or no class of the usage explains it
       * @example 0
       */
      uncollected: number;
      /** @description The hard budgets that this settlement has exceeded because it cost more than its hold */
      overrun: components['schemas']['OverrunDto'][];
      /**
       * @description Whether the session had already timed out
       * @example false
       */
      late: boolean;
      /**
       * Format: date-time
       * @example 2026-11-21T12:00:00.000Z
       */
      completedAt: string;
    };
    /** @enum {string} */
    SettledSessionStatus: 'completed' | 'failed';
    OverrunDto: {
      /**
       * Format: int64
       * @example 1
       */
      budgetId: number;
      /**
       * Format: int64
       * @description By how much, in the unit of the budget
       * @example 3
       */
      by: number;
    };
    AbortSessionDto: {
      /**
       * @description The caller’s id for the stream, unique per user
       * @example session-1
       */
      sessionId: string;
      /**
       * Format: int64
       * @description Tokens generated; defaults to the last reported progress
       * @example 120
       */
      tokensGenerated?: number;
      /** @description The user to act for; required from a trusted service that does not forward a user’s token */
      userId?: string;
      /** @description The account that pays: an organisation of the user; if omitted, the user’s personal account */
      accountId?: string;
    };
    SessionAbortedDto: {
      /**
       * Format: int64
       * @example 1
       */
      id: number;
      /** @example session-1 */
      sessionId: string;
      /**
       * @description The account that pays
       * @example alice
       */
      accountId: string;
      /** @example alice */
      userId: string;
      /**
       * @example aborted
       * @enum {string}
       */
      status: 'aborted';
      /**
       * Format: int64
       * @description Cost of the tokens generated
       * @example 1
       */
      partialCredits: number;
      /**
       * Format: int64
       * @example 3
       */
      refund: number;
      /**
       * Format: int64
       * @example 0
       */
      overage: number;
      /**
       * Format: int64
       * @example 0
       */
      uncollected: number;
      /** @description The hard budgets that this settlement has exceeded because it cost more than its hold */
      overrun: components['schemas']['OverrunDto'][];
      /**
       * @description Whether the session had already timed out
       * @example false
       */
      late: boolean;
      /**
       * Format: date-time
       * @example 2026-11-21T12:00:00.000Z
       */
      completedAt: string;
    };
    /** @description Has exactly one of these: `tokens`; `inputTokens` and `outputTokens`; `quantities`; `provider` and `usage`; `credits` */
    ChargeUsageDto: {
      /** @description What the call used, by class, in place of token counts. Each token is in one class only: `input` excludes cached tokens, `output` excludes reasoning */
      quantities?: components['schemas']['QuantitiesDto'];
      /** @description The provider whose `usage` object describes the call */
      provider?: components['schemas']['UsageProvider'];
      /** @description The provider’s own usage object, unchanged, in place of token counts */
      usage?: {
        [key: string]: unknown;
      } | null;
      /** @description The provider’s service tier, whose prices apply where the model has some; defaults to `standard` */
      serviceTier?: components['schemas']['ServiceTier'];
      /** @description Where the counts come from: reported by the `provider` when the call ended, `drained` from it after the client had left, or `estimated` from what was seen; defaults to `provider` where `usage` is given, otherwise to null */
      usageSource?: components['schemas']['UsageSource'];
      /** @description The size of the call’s web searches, or of one where the usage counts none */
      searchContextSize?: components['schemas']['SearchContextSize'];
      /**
       * Format: int64
       * @description Images made, beside the tokens
       */
      images?: number;
      /**
       * Format: int64
       * @description Seconds of audio or video processed, beside the tokens
       */
      seconds?: number;
      /**
       * @description The caller’s id for the call, unique per user. It must not begin with `litellm:`
       * @example call-1
       */
      requestId: string;
      /**
       * @description The model
       * @example anthropic.claude-3-sonnet-20240229-v1:0
       */
      modelId: string;
      /**
       * Format: int64
       * @description Total tokens of the call, charged at the blended price
       * @example 1000
       */
      tokens?: number;
      /**
       * Format: int64
       * @description A cost that was calculated elsewhere, instead of tokens; only from trusted services
       */
      credits?: number;
      /**
       * Format: int64
       * @description Input tokens, excluding cached ones
       */
      inputTokens?: number;
      /**
       * Format: int64
       * @description Output tokens
       */
      outputTokens?: number;
      /**
       * Format: int64
       * @description Input tokens read from the provider’s cache
       */
      cachedInputTokens?: number;
      /**
       * @description The service that was used
       * @default chat
       * @example chat
       */
      service: string;
      /** @description Any JSON object with at most 16 kB and 256 values */
      metadata?: {
        [key: string]: unknown;
      } | null;
      /**
       * @description What the provider charged, in USD. If omitted or null, it is computed from the pricing rule where possible
       * @example 0.0021
       */
      providerCostUsd?: string | number;
      /**
       * @description `billed`: debit the call; `needs_review`: record it for review without debiting
       * @default billed
       * @example billed
       */
      billingStatus: components['schemas']['ChargeBilling'];
      /**
       * @description If the credits do not cover the call, `reject` refuses it (402), and `review` records it for review without debiting
       * @default reject
       * @example reject
       */
      onInsufficient: components['schemas']['OnInsufficient'];
      /** @description What the call is for: at most 10 names of letters, digits and `_.-`, each with a text of at most 100 characters. Budgets can be made for a tag */
      tags?: {
        [key: string]: string;
      } | null;
      /** @description The user to act for; required from a trusted service that does not forward a user’s token */
      userId?: string;
      /** @description The account that pays: an organisation of the user; if omitted, the user’s personal account */
      accountId?: string;
    };
    /** @enum {string} */
    ChargeBilling: 'billed' | 'needs_review';
    /** @enum {string} */
    OnInsufficient: 'reject' | 'review';
    ChargeDto: {
      record: components['schemas']['UsageRecordDto'];
      /**
       * Format: int64
       * @description Credits left after the charge: the balance; in an organisation no more than fits the budgets of the call
       * @example 994
       */
      totalCredits: number;
    };
    UsageRecordDto: {
      /**
       * Format: int64
       * @example 1
       */
      id: number;
      /**
       * Format: int64
       * @description Version of the record, which a review must name. It increases by 1 with each correction and each review
       * @example 1
       */
      version: number;
      /**
       * @description The account that pays
       * @example alice
       */
      accountId: string;
      /** @example alice */
      userId: string;
      /**
       * Format: date-time
       * @example 2026-11-21T12:00:00.000Z
       */
      timestamp: string;
      /** @example chat-streaming */
      service: string;
      /** @example anthropic.claude-3-sonnet-20240229-v1:0 */
      operation: string;
      /**
       * Format: int64
       * @description Cost of the call, waived credits included; if a review billed another amount, what was billed in all
       * @example 3
       */
      credits: number;
      /**
       * @example {
       *       "sessionId": "session-1",
       *       "tokens": 700
       *     }
       */
      metadata: {
        [key: string]: unknown;
      };
      /** @example billed */
      billingStatus: components['schemas']['BillingStatus'];
      /**
       * Format: int64
       * @description The part that the balance did not cover
       * @example 0
       */
      uncollectedCredits: number;
      /**
       * @description What the call cost at the provider, in USD; null if unknown
       * @example 0.0021
       */
      providerCostUsd: string | null;
      /**
       * @description `reported`: reported by the caller; `computed`: computed from the pricing rule
       * @example reported
       */
      providerCostSource: components['schemas']['ProviderCostSource'] | null;
      /**
       * @description The `requestId` of the charge; null if the record is not from a charge
       * @example null
       */
      requestId: string | null;
      /**
       * Format: int64
       * @description Id of the API key that the call was made with
       * @example null
       */
      apiKeyId: number | null;
      /**
       * Format: int64
       * @description The unit of the organisation that the user belonged to
       * @example null
       */
      unitId: number | null;
      /**
       * @description What the call was for
       * @example {
       *       "feature": "search"
       *     }
       */
      tags: {
        [key: string]: string;
      } | null;
      /** @example session-1 */
      sessionId: string | null;
      /**
       * Format: int64
       * @description Id of the pricing rule that set the price
       * @example null
       */
      pricingRuleId: number | null;
      /** @example default */
      pricingSource: components['schemas']['PricingSource'] | null;
      /**
       * @description The model of the rule, or the pattern of models; null if the call was not priced here
       * @example anthropic.claude-3-sonnet-20240229-v1:0
       */
      pricedAs: string | null;
      /**
       * @description What the call used, by class; null if it was not priced here
       * @example {
       *       "input": 1000,
       *       "output": 200
       *     }
       */
      quantities: {
        [key: string]: number;
      } | null;
      /**
       * @description Where the quantities come from: the provider, `drained` from it after the client had left, or an estimate; null if the caller did not say
       * @example provider
       */
      usageSource: components['schemas']['UsageSource'] | null;
      /** @example standard */
      serviceTier: components['schemas']['ServiceTier'] | null;
      /**
       * @description Classes that the rule has no price for: they took the price of another class, or were free
       * @example []
       */
      pricingNotes: components['schemas']['PriceClass'][];
      /**
       * @description The last review decision
       * @example bill
       */
      reviewAction: components['schemas']['ReviewAction'] | null;
      /** @example root */
      reviewedBy: string | null;
      /**
       * Format: date-time
       * @example 2026-11-21T12:00:00.000Z
       */
      reviewedAt: string | null;
    };
    /** @enum {string} */
    BillingStatus: 'recorded' | 'billed' | 'needs_review' | 'waived';
    /** @enum {string} */
    ProviderCostSource: 'reported' | 'computed';
    /** @enum {string} */
    PriceClass:
      | 'tokens'
      | 'input'
      | 'cached_input'
      | 'cache_write_5m'
      | 'cache_write_1h'
      | 'output'
      | 'reasoning'
      | 'audio_input'
      | 'cached_audio_input'
      | 'audio_cache_write'
      | 'audio_output'
      | 'image_input'
      | 'image_output'
      | 'video_input'
      | 'video_output'
      | 'citation'
      | 'input_characters'
      | 'output_characters'
      | 'input_images'
      | 'images'
      | 'pixels'
      | 'seconds'
      | 'seconds_1080p'
      | 'audio_input_seconds'
      | 'video_input_seconds'
      | 'pages'
      | 'annotated_pages'
      | 'queries'
      | 'requests'
      | 'search_low'
      | 'search_medium'
      | 'search_high'
      | 'code_interpreter_sessions';
    /** @enum {string} */
    ReviewAction: 'bill' | 'waive';
  };
  responses: never;
  parameters: never;
  requestBodies: never;
  headers: {
    /** @description Seconds to wait before a retry */
    RetryAfter: number;
  };
  pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
  initializeSession: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        /**
         * @example {
         *       "sessionId": "session-1",
         *       "modelId": "anthropic.claude-3-sonnet-20240229-v1:0",
         *       "estimatedTokens": 1000
         *     }
         */
        'application/json': components['schemas']['InitializeSessionDto'];
      };
    };
    responses: {
      /** @description The session had already been started; its credits are still held */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          /**
           * @example {
           *       "id": 1,
           *       "sessionId": "session-1",
           *       "accountId": "alice",
           *       "userId": "alice",
           *       "modelId": "anthropic.claude-3-sonnet-20240229-v1:0",
           *       "estimatedCredits": 3,
           *       "allocatedCredits": 4,
           *       "usedCredits": 0,
           *       "status": "active",
           *       "startedAt": "2026-11-21T12:00:00.000Z",
           *       "expiresAt": "2026-11-21T12:00:00.000Z",
           *       "completedAt": null,
           *       "remainingCredits": 996,
           *       "pricingSource": "default",
           *       "pricedAs": "anthropic.claude-3-sonnet-20240229-v1:0",
           *       "estimateSource": "caller",
           *       "maxAffordableTokens": null
           *     }
           */
          'application/json': components['schemas']['SessionStartedDto'];
        };
      };
      /** @description The session is started and its credits are held */
      201: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          /**
           * @example {
           *       "id": 1,
           *       "sessionId": "session-1",
           *       "accountId": "alice",
           *       "userId": "alice",
           *       "modelId": "anthropic.claude-3-sonnet-20240229-v1:0",
           *       "estimatedCredits": 3,
           *       "allocatedCredits": 4,
           *       "usedCredits": 0,
           *       "status": "active",
           *       "startedAt": "2026-11-21T12:00:00.000Z",
           *       "expiresAt": "2026-11-21T12:00:00.000Z",
           *       "completedAt": null,
           *       "remainingCredits": 996,
           *       "pricingSource": "default",
           *       "pricedAs": "anthropic.claude-3-sonnet-20240229-v1:0",
           *       "estimateSource": "caller",
           *       "maxAffordableTokens": null
           *     }
           */
          'application/json': components['schemas']['SessionStartedDto'];
        };
      };
      /** @description The request is invalid; `errors` lists the invalid fields */
      400: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Credentials are missing or invalid */
      401: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The balance or a budget does not cover it; nothing was changed */
      402: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['InsufficientCreditsDto'];
        };
      };
      /** @description The caller is not allowed to do this */
      403: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Not found, or not visible to the caller */
      404: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The request conflicts with the current state; nothing was changed */
      409: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The body is too large */
      413: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The media type or the encoding of the body is not supported */
      415: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The request is valid, but cannot be carried out */
      422: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Too many requests; retry after `Retry-After` seconds */
      429: {
        headers: {
          'Retry-After': components['headers']['RetryAfter'];
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['RateProblemDto'];
        };
      };
      /** @description Internal error; the log contains the details under `requestId` */
      500: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Temporarily unavailable; nothing was done in part; retry after `Retry-After` seconds */
      503: {
        headers: {
          'Retry-After': components['headers']['RetryAfter'];
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
    };
  };
  reportProgress: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        /**
         * @example {
         *       "sessionId": "session-1",
         *       "tokensGenerated": 500
         *     }
         */
        'application/json': components['schemas']['ProgressDto'];
      };
    };
    responses: {
      /** @description Done */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          /**
           * @example {
           *       "sessionId": "session-1",
           *       "status": "active",
           *       "tokensGenerated": 500,
           *       "usedCredits": 2,
           *       "allocatedCredits": 4,
           *       "shouldStop": true,
           *       "reason": "budget.exceeded",
           *       "limits": [
           *         {
           *           "budgetId": 7,
           *           "scope": "unit",
           *           "scopeId": "3",
           *           "unit": "credits",
           *           "window": "month",
           *           "limit": 1000,
           *           "used": 990,
           *           "held": 8,
           *           "resetsAt": "2026-12-01T00:00:00.000Z"
           *         }
           *       ],
           *       "maxAffordableTokens": 500,
           *       "expiresAt": "2026-11-21T12:00:00.000Z"
           *     }
           */
          'application/json': components['schemas']['SessionProgressDto'];
        };
      };
      /** @description The request is invalid; `errors` lists the invalid fields */
      400: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Credentials are missing or invalid */
      401: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The caller is not allowed to do this */
      403: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Not found, or not visible to the caller */
      404: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The request conflicts with the current state; nothing was changed */
      409: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The body is too large */
      413: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The media type or the encoding of the body is not supported */
      415: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Too many requests; retry after `Retry-After` seconds */
      429: {
        headers: {
          'Retry-After': components['headers']['RetryAfter'];
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Internal error; the log contains the details under `requestId` */
      500: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Temporarily unavailable; nothing was done in part; retry after `Retry-After` seconds */
      503: {
        headers: {
          'Retry-After': components['headers']['RetryAfter'];
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
    };
  };
  finalizeSession: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        /**
         * @example {
         *       "sessionId": "session-1",
         *       "actualTokens": 700,
         *       "success": true,
         *       "providerCostUsd": "0.0021"
         *     }
         */
        'application/json': components['schemas']['FinalizeSessionDto'];
      };
    };
    responses: {
      /** @description Done */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          /**
           * @example {
           *       "id": 1,
           *       "sessionId": "session-1",
           *       "accountId": "alice",
           *       "userId": "alice",
           *       "status": "completed",
           *       "estimatedCredits": 3,
           *       "actualCredits": 3,
           *       "refund": 1,
           *       "overage": 0,
           *       "uncollected": 0,
           *       "overrun": [
           *         {
           *           "budgetId": 1,
           *           "by": 3
           *         }
           *       ],
           *       "late": false,
           *       "completedAt": "2026-11-21T12:00:00.000Z"
           *     }
           */
          'application/json': components['schemas']['SessionSettledDto'];
        };
      };
      /** @description The request is invalid; `errors` lists the invalid fields */
      400: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Credentials are missing or invalid */
      401: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The caller is not allowed to do this */
      403: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Not found, or not visible to the caller */
      404: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The request conflicts with the current state; nothing was changed */
      409: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The body is too large */
      413: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The media type or the encoding of the body is not supported */
      415: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The request is valid, but cannot be carried out */
      422: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Too many requests; retry after `Retry-After` seconds */
      429: {
        headers: {
          'Retry-After': components['headers']['RetryAfter'];
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Internal error; the log contains the details under `requestId` */
      500: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Temporarily unavailable; nothing was done in part; retry after `Retry-After` seconds */
      503: {
        headers: {
          'Retry-After': components['headers']['RetryAfter'];
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
    };
  };
  abortSession: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        /**
         * @example {
         *       "sessionId": "session-1",
         *       "tokensGenerated": 120
         *     }
         */
        'application/json': components['schemas']['AbortSessionDto'];
      };
    };
    responses: {
      /** @description Done */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          /**
           * @example {
           *       "id": 1,
           *       "sessionId": "session-1",
           *       "accountId": "alice",
           *       "userId": "alice",
           *       "status": "aborted",
           *       "partialCredits": 1,
           *       "refund": 3,
           *       "overage": 0,
           *       "uncollected": 0,
           *       "overrun": [
           *         {
           *           "budgetId": 1,
           *           "by": 3
           *         }
           *       ],
           *       "late": false,
           *       "completedAt": "2026-11-21T12:00:00.000Z"
           *     }
           */
          'application/json': components['schemas']['SessionAbortedDto'];
        };
      };
      /** @description The request is invalid; `errors` lists the invalid fields */
      400: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Credentials are missing or invalid */
      401: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The caller is not allowed to do this */
      403: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Not found, or not visible to the caller */
      404: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The request conflicts with the current state; nothing was changed */
      409: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The body is too large */
      413: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The media type or the encoding of the body is not supported */
      415: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The request is valid, but cannot be carried out */
      422: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Too many requests; retry after `Retry-After` seconds */
      429: {
        headers: {
          'Retry-After': components['headers']['RetryAfter'];
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Internal error; the log contains the details under `requestId` */
      500: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Temporarily unavailable; nothing was done in part; retry after `Retry-After` seconds */
      503: {
        headers: {
          'Retry-After': components['headers']['RetryAfter'];
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
    };
  };
  chargeUsage: {
    parameters: {
      query?: never;
      header?: {
        /** @description Makes retries safe: a request with the same key and the same body gets the first response again, with the header `Idempotency-Replayed: true`. A key is kept for 24 hours, separately for each caller and account. */
        'Idempotency-Key'?: string;
      };
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        /**
         * @example {
         *       "requestId": "call-1",
         *       "modelId": "anthropic.claude-3-sonnet-20240229-v1:0",
         *       "tokens": 1000,
         *       "service": "chat",
         *       "providerCostUsd": "0.0021",
         *       "billingStatus": "billed",
         *       "onInsufficient": "reject"
         *     }
         */
        'application/json': components['schemas']['ChargeUsageDto'];
      };
    };
    responses: {
      /** @description The call had already been charged; this is its record */
      200: {
        headers: {
          /** @description Whether this is an earlier response again, which its `Idempotency-Key` had */
          'Idempotency-Replayed'?: boolean;
          [name: string]: unknown;
        };
        content: {
          /**
           * @example {
           *       "record": {
           *         "id": 1,
           *         "version": 1,
           *         "accountId": "alice",
           *         "userId": "alice",
           *         "timestamp": "2026-11-21T12:00:00.000Z",
           *         "service": "chat-streaming",
           *         "operation": "anthropic.claude-3-sonnet-20240229-v1:0",
           *         "credits": 3,
           *         "metadata": {
           *           "sessionId": "session-1",
           *           "tokens": 700
           *         },
           *         "billingStatus": "billed",
           *         "uncollectedCredits": 0,
           *         "providerCostUsd": "0.0021",
           *         "providerCostSource": "reported",
           *         "requestId": null,
           *         "apiKeyId": null,
           *         "unitId": null,
           *         "tags": {
           *           "feature": "search"
           *         },
           *         "sessionId": "session-1",
           *         "pricingRuleId": null,
           *         "pricingSource": "default",
           *         "pricedAs": "anthropic.claude-3-sonnet-20240229-v1:0",
           *         "quantities": {
           *           "input": 1000,
           *           "output": 200
           *         },
           *         "usageSource": "provider",
           *         "serviceTier": "standard",
           *         "pricingNotes": [],
           *         "reviewAction": "bill",
           *         "reviewedBy": "root",
           *         "reviewedAt": "2026-11-21T12:00:00.000Z"
           *       },
           *       "totalCredits": 994
           *     }
           */
          'application/json': components['schemas']['ChargeDto'];
        };
      };
      /** @description The call was charged, or recorded for review */
      201: {
        headers: {
          /** @description Whether this is an earlier response again, which its `Idempotency-Key` had */
          'Idempotency-Replayed'?: boolean;
          [name: string]: unknown;
        };
        content: {
          /**
           * @example {
           *       "record": {
           *         "id": 1,
           *         "version": 1,
           *         "accountId": "alice",
           *         "userId": "alice",
           *         "timestamp": "2026-11-21T12:00:00.000Z",
           *         "service": "chat-streaming",
           *         "operation": "anthropic.claude-3-sonnet-20240229-v1:0",
           *         "credits": 3,
           *         "metadata": {
           *           "sessionId": "session-1",
           *           "tokens": 700
           *         },
           *         "billingStatus": "billed",
           *         "uncollectedCredits": 0,
           *         "providerCostUsd": "0.0021",
           *         "providerCostSource": "reported",
           *         "requestId": null,
           *         "apiKeyId": null,
           *         "unitId": null,
           *         "tags": {
           *           "feature": "search"
           *         },
           *         "sessionId": "session-1",
           *         "pricingRuleId": null,
           *         "pricingSource": "default",
           *         "pricedAs": "anthropic.claude-3-sonnet-20240229-v1:0",
           *         "quantities": {
           *           "input": 1000,
           *           "output": 200
           *         },
           *         "usageSource": "provider",
           *         "serviceTier": "standard",
           *         "pricingNotes": [],
           *         "reviewAction": "bill",
           *         "reviewedBy": "root",
           *         "reviewedAt": "2026-11-21T12:00:00.000Z"
           *       },
           *       "totalCredits": 994
           *     }
           */
          'application/json': components['schemas']['ChargeDto'];
        };
      };
      /** @description The request is invalid; `errors` lists the invalid fields */
      400: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Credentials are missing or invalid */
      401: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The balance or a budget does not cover it; nothing was changed */
      402: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['InsufficientCreditsDto'];
        };
      };
      /** @description The caller is not allowed to do this */
      403: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Not found, or not visible to the caller */
      404: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The body is too large */
      413: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The media type or the encoding of the body is not supported */
      415: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description The request is valid, but cannot be carried out */
      422: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Too many requests; retry after `Retry-After` seconds */
      429: {
        headers: {
          'Retry-After': components['headers']['RetryAfter'];
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['RateProblemDto'];
        };
      };
      /** @description Internal error; the log contains the details under `requestId` */
      500: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
      /** @description Temporarily unavailable; nothing was done in part; retry after `Retry-After` seconds */
      503: {
        headers: {
          'Retry-After': components['headers']['RetryAfter'];
          [name: string]: unknown;
        };
        content: {
          'application/problem+json': components['schemas']['ProblemDto'];
        };
      };
    };
  };
}
