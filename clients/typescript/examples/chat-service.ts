import express from 'express';
import OpenAI from 'openai';
import { Accounting } from 'llm-accounting-client';
import { accountingErrors, forwardUser } from 'llm-accounting-client/express';
import { CreditsExhausted, metered } from 'llm-accounting-client/openai';

const accounting = new Accounting({
  baseUrl: process.env.ACCOUNTING_URL ?? 'http://localhost:3001',
  internalApiKey: process.env.ACCOUNTING_KEY,
});
const provider = new OpenAI(); // with OPENAI_API_KEY
const app = express();

// The user whose token the request carries pays for the call.
app.post('/chat', express.json(), forwardUser(accounting), async (request, response) => {
  const openai = metered(provider, { accounting: request.accounting });
  const left = new AbortController();
  response.on('close', () => left.abort());
  const { messages } = request.body as { messages: OpenAI.ChatCompletionMessageParam[] };
  const stream = await openai.chat.completions.create(
    { model: 'gpt-4o-mini', messages, stream: true },
    { signal: left.signal },
  );
  try {
    for await (const chunk of stream) response.write(chunk.choices[0]?.delta.content ?? '');
  } catch (error) {
    if (left.signal.aborted) return;
    if (!(error instanceof CreditsExhausted)) throw error;
    response.write(`\n[stopped: ${error.code}]`);
  }
  response.end();
});
// 401, 402, 429 and 503 in the form of the accounting service's own errors.
app.use(accountingErrors());

export const server = app.listen(Number(process.env.PORT ?? 3000));
// At SIGTERM open streams have ten seconds to end; then they are settled by what was seen.
accounting.drainOnExit({ seconds: 10 });
