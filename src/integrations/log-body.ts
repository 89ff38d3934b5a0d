import { createParamDecorator, type ExecutionContext, type PipeTransform } from '@nestjs/common';
import { type Request, type Response, text } from 'express';
import { LargeBodyTooLarge } from '../common/errors/request-errors.js';

const BODY_LIMIT_BYTES = 10 * 1024 * 1024;

const readText = text({ limit: BODY_LIMIT_BYTES, type: () => true });

interface Exchange {
  request: Request;
  response: Response;
}

/** Reads a large body as text. As a pipe it runs after the guards: only an authorised sender can send so much. */
class LogBodyPipe implements PipeTransform<Exchange, Promise<string>> {
  async transform({ request, response }: Exchange): Promise<string> {
    await new Promise<void>((done, fail) => {
      readText(request, response, (error?: unknown) => (error ? fail(readProblem(error)) : done()));
    });
    const body: unknown = request.body;
    // It is no longer needed, and now nothing can log the prompts in it.
    request.body = undefined;
    return typeof body === 'string' ? body : '';
  }
}

const RequestExchange = createParamDecorator((_: unknown, context: ExecutionContext): Exchange => {
  const http = context.switchToHttp();
  return { request: http.getRequest<Request>(), response: http.getResponse<Response>() };
});

/** The body as text, up to 10 MB; empty when there is none. */
export const LogBody = () => RequestExchange(new LogBodyPipe());

function readProblem(error: unknown): Error {
  if ((error as { type?: string }).type !== 'entity.too.large') return error as Error;
  return new LargeBodyTooLarge();
}
