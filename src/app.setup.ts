import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { OpenAPIObject } from '@nestjs/swagger';
import { ThrottlerStorage } from '@nestjs/throttler';
import type { NextFunction, Request, Response } from 'express';
import helmet from 'helmet';
import type { Logger } from 'pino';
import { AppModule } from './app.module.js';
import { Metrics } from './common/metrics/metrics.service.js';
import { type Tracing, TRACING } from './common/tracing/tracing.js';
import { createLogger, NestLogger, requestLogging } from './common/http/logging.js';
import { LimitedExpressAdapter } from './common/http/limited-express.adapter.js';
import { answerOtherPaths } from './common/http/problem.filter.js';
import { countStranger } from './common/http/rate-limit.js';
import { createDocument, setUpSwagger } from './common/http/swagger.js';
import { setUpConsole } from './console/console.js';
import { type AppConfig, loadConfig } from './config/env.js';

/** Builds the whole application, for `main` and for the tests alike; it does not listen yet. */
export async function createApp(
  config: AppConfig,
  databaseUrl: string,
  logger: Logger = createLogger(config.logLevel),
): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(
    AppModule.forRoot(config, databaseUrl),
    new LimitedExpressAdapter(config.requestTimeoutSeconds),
    { logger: new NestLogger(logger), bodyParser: false, abortOnError: false },
  );
  app.disable('x-powered-by');
  app.set('etag', false);
  // Queries are flat here; the nested parser would make objects of `a[b]=c`.
  app.set('query parser', 'simple');
  app.use(requestLogging(logger));
  app.use(app.get(Metrics).observeRequest);
  const tracing = app.get<Tracing | null>(TRACING);
  if (tracing !== null) app.use(tracing.observeRequest);
  app.use(protectAnswers());
  app.enableCors({
    origin: config.corsOrigins,
    allowedHeaders: [
      'Content-Type',
      'Authorization',
      'Idempotency-Key',
      'Last-Event-ID',
      'X-Request-Id',
      'X-API-Key',
      'traceparent',
      'tracestate',
    ],
    exposedHeaders: [
      'Allow',
      'Content-Disposition',
      'Idempotency-Replayed',
      'Retry-After',
      'WWW-Authenticate',
      'X-Request-Id',
      'X-RateLimit-Limit',
      'X-RateLimit-Remaining',
      'X-RateLimit-Reset',
    ],
    maxAge: 600,
  });
  app.use(answerInFull);
  setPrefix(app);
  const windows = app.get<ThrottlerStorage>(ThrottlerStorage, { strict: false });
  const count = (request: Request) => countStranger(windows, config, request);
  if (config.hasApiDocs) setUpSwagger(app, config.version, count);
  setUpConsole(app);
  await app.init();
  answerOtherPaths(app, count);
  return app;
}

/** The OpenAPI document without a database or a configuration: nothing is started for it. */
export async function describeApi(): Promise<OpenAPIObject> {
  const config = loadConfig({
    NODE_ENV: 'test',
    DATABASE_URL: 'postgresql://localhost/none',
    JWT_ACCESS_SECRET: 'none',
  });
  const app = await NestFactory.create(AppModule.forRoot(config, config.database.url as string), {
    preview: true,
    logger: false,
  });
  setPrefix(app);
  return createDocument(app, config.version);
}

function setPrefix(app: INestApplication): void {
  app.setGlobalPrefix('api', { exclude: ['health', 'health/ready', 'api/health', 'metrics'] });
}

/** Answers have no ETags, so a caller cannot have what is being asked for already; `*` would get an empty 304. */
function answerInFull(request: Request, _response: Response, next: NextFunction): void {
  if (request.headers['if-none-match'] === '*' && !request.path.startsWith('/api/docs')) {
    delete request.headers['if-none-match'];
  }
  next();
}

/** Pages that a browser shows; everything else is for programs. */
const PAGES = /^\/api\/docs/;
/** What OWASP's REST security cheat sheet asks of an API. Answers belong to one caller: no cache keeps them. */
const API_HEADERS: [name: string, value: string][] = [
  ['Cache-Control', 'no-store'],
  ['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'"],
  ['Strict-Transport-Security', 'max-age=31536000; includeSubDomains'],
  ['X-Content-Type-Options', 'nosniff'],
  ['X-Frame-Options', 'DENY'],
];

/** Helmet for pages; for the API its few headers that mean something there, which cost a request a tenth. */
function protectAnswers() {
  // Not upgraded to HTTPS by the browser: behind a plain-HTTP address that would break Swagger UI. TLS is the proxy's.
  const protectPages = helmet({ contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } } });
  return (request: Request, response: Response, next: NextFunction): void => {
    if (!PAGES.test(request.path)) {
      for (const [name, value] of API_HEADERS) response.setHeader(name, value);
      return next();
    }
    response.setHeader('Cache-Control', 'no-store');
    protectPages(request, response, next);
  };
}
