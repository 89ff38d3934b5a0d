import { type Accounting, DEFAULT_OUTPUT_TOKENS, MINIMUM_OUTPUT_TOKENS } from './accounting.js';
import { AccountingError, misuse } from './errors.js';
import { type Format, MeteredCall, meteredStream, type SdkStream, type Seen } from './metering.js';
import { countPrompt, tokenCounter } from './tokens.js';

/** What the clients of `openai` and `@anthropic-ai/sdk` have in common, as far as metering needs it. */
export interface SdkClient {
  post(path: string, options?: unknown): SdkPromise;
  withOptions(options: object): SdkClient;
}
interface SdkPromise extends Promise<unknown> {
  withResponse(): Promise<{ data: unknown; response: Response }>;
  /** What an SDK passes to the functions that unwrap its answers. */
  responsePromise?: Promise<unknown>;
}
type Body = Record<string, unknown>;

/** One route of a provider's API, metered. */
export interface MeteredRoute extends Format<never> {
  /** Fields of the request that hold text for the model. */
  promptFields: string[];
  /** Fields that may limit the output, the one to set first. */
  maxTokensFields: string[];
  /** How many answers one request asks for, each of up to the maximum. */
  choices?(body: Body): number;
  /** Fewer output tokens than this make no sense for the request. */
  minTokens?(body: Body): number | undefined;
  /** Refuses what cannot be metered. */
  check?(body: Body): void;
  /** Adds what makes the provider report its usage. */
  prepare?(body: Body): Body;
  /** Reads an answer that was not streamed. */
  readWhole(answer: Body, seen: Seen): void;
}

export interface MeterOptions {
  accounting: Accounting;
}

/** What differs between the SDKs. */
export interface Sdk {
  /** An error of ours in the SDK's form. */
  toError: (error: AccountingError) => Error;
  /** A time-out or an abort, after which the provider may go on. */
  isGivenUp: (error: unknown) => boolean;
}

const meteredClients = new WeakSet<object>();

/**
 * A metered copy of an SDK's client: calls of the routes hold credits first and are settled at their end. All others go
 * through as they are.
 *
 * @throws AccountingError `client.metered_twice`
 */
export function meteredClient<Client extends object>(
  client: Client,
  { accounting }: MeterOptions,
  routes: Record<string, (body: Body) => MeteredRoute>,
  sdk: Sdk,
): Client {
  const original = client as unknown as SdkClient;
  if (meteredClients.has(client)) throw misuse('metered_twice', 'This client is metered already');
  const copy = original.withOptions({});
  meteredClients.add(copy);
  const post = copy.post.bind(copy);
  copy.post = (path, options) => {
    const route = routes[path.split('?')[0] as string];
    return route === undefined ? post(path, options) : meteredPost(options);

    function meteredPost(given: unknown): SdkPromise {
      let call: MeteredCall<never> | undefined;
      const prepared = Promise.resolve(given as RequestOptions).then(async (request) => {
        const begun = await begin(accounting, route!(request.body), request).catch((error: unknown) => {
          throw error instanceof AccountingError ? sdk.toError(error) : error;
        });
        call = begun.call;
        return begun.request;
      });
      const answered = post(path, prepared);
      const data = answered.then(
        (answer) => finish(call!, answer, sdk),
        async (error: unknown) => {
          await call?.refuse(sdk.isGivenUp(error));
          throw error;
        },
      );
      return sdkPromise(answered, data, () => void data.then((stream) => leave(stream)));
    }
  };
  copy.withOptions = (options) => meteredClient(original.withOptions(options), { accounting }, routes, sdk);
  return copy as unknown as Client;
}

interface RequestOptions {
  body: Body;
  stream?: boolean;
}

/** Counts, holds, and limits the request to what the credits pay for. */
async function begin(accounting: Accounting, route: MeteredRoute, request: RequestOptions) {
  const { body } = request;
  route.check?.(body);
  const modelId = String(body.model);
  const count = await tokenCounter(modelId);
  const prompt = route.promptFields.map((field) => body[field]);
  const choices = route.choices?.(body) ?? 1;
  const field = route.maxTokensFields.find((name) => typeof body[name] === 'number');
  const asked = field === undefined ? undefined : (body[field] as number);
  const declared = asked ?? accounting.options.maxOutputTokens ?? DEFAULT_OUTPUT_TOKENS;
  const least = Math.max(
    accounting.options.minOutputTokens ?? MINIMUM_OUTPUT_TOKENS,
    route.minTokens?.(body) ?? 0,
  );
  const session = await accounting.session({
    modelId,
    inputTokens: countPrompt(prompt, count),
    maxOutputTokens: declared * choices,
    minOutputTokens: least * choices,
  });
  const affordable = Math.floor(session.maxOutputTokens / choices);
  const limit = affordable < declared ? { [field ?? route.maxTokensFields[0]!]: affordable } : {};
  const isBounded = asked !== undefined || affordable < declared;
  const call = new MeteredCall(accounting, session, route, count, isBounded);
  return { call, request: { ...request, body: { ...(route.prepare?.(body) ?? body), ...limit } } };
}

async function finish(call: MeteredCall<never>, answer: unknown, sdk: Sdk) {
  if (isStream(answer)) return meteredStream(answer, call, sdk.toError);
  (call.format as MeteredRoute).readWhole((answer ?? {}) as Body, call.seen);
  await call.settle('ended');
  return answer;
}

const isStream = (answer: unknown): answer is SdkStream<never> =>
  typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer && 'controller' in answer;

function leave(stream: unknown): void {
  if (isStream(stream)) void stream[Symbol.asyncIterator]().return?.();
}

/** A promise with the methods that users and helpers of the SDKs call on theirs. */
function sdkPromise(answered: SdkPromise, data: Promise<unknown>, drop: () => void): SdkPromise {
  // A caller who wants the response waits for that one first; its failure is not unhandled.
  data.catch(() => undefined);
  return Object.assign(data, {
    parse: () => data,
    withResponse: async () => ({ ...(await answered.withResponse()), data: await data }),
    asResponse: () => {
      drop();
      return Promise.reject(misuse('raw_response', 'A raw body cannot be metered; use withResponse()'));
    },
    _thenUnwrap: (transform: (answer: unknown, props: unknown) => unknown) =>
      sdkPromise(
        answered,
        data.then(async (answer) => transform(answer, await answered.responsePromise)),
        drop,
      ),
  });
}
