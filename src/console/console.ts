import type { NestExpressApplication } from '@nestjs/platform-express';
import type { NextFunction, Request, Response } from 'express';
import { MethodNotAllowed } from '../common/errors/request-errors.js';
import { ServiceError } from '../common/errors/service-error.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { VERSION } from '../config/version.js';
import { ASSETS, type ConsoleFile, INDEX, readConsole } from './console-files.js';
import { givesDevelopmentTokens, isFromThisMachine } from './development-machine.js';

/** 404: only `npm run build` makes the console. */
export class ConsoleNotBuilt extends ServiceError {
  constructor() {
    super(404, 'route.not_found', 'The console has not been built: run "npm run build"');
  }
}

/** Files of this service and its API, nothing else: no inline script or style, no other site, no frame, no form. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const HEADERS: [name: string, value: string][] = [
  ['Content-Security-Policy', CONTENT_SECURITY_POLICY],
  ['Cross-Origin-Opener-Policy', 'same-origin'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  ['Permissions-Policy', 'camera=(), geolocation=(), microphone=(), payment=(), usb=()'],
  ['Referrer-Policy', 'no-referrer'],
  ['Vary', 'Accept-Encoding'],
];

/**
 * The console at `/console`. Its files contain no one's data, so they need no token, and they come before the rate
 * limit: opening the console uses none of the requests that the API allows.
 */
export function setUpConsole(app: NestExpressApplication): void {
  const config = app.get<AppConfig>(APP_CONFIG);
  const files = readConsole();
  const index = files.get(INDEX);
  app.use('/console', (request: Request, response: Response, next: NextFunction): void => {
    if (request.method === 'OPTIONS') return next();
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return next(new MethodNotAllowed(['GET', 'HEAD']));
    if (request.path === '/config.json') return sendSettings(config, request, response);
    if (index === undefined) return next(new ConsoleNotBuilt());
    const file = files.get(request.path);
    // A page of the console may have any path, also with dots: the ids of users and models have them.
    if (file === undefined && request.path.startsWith(ASSETS)) return next();
    send(file ?? index, request, response);
  });
}

/** The settings that the console needs before sign-in. */
function sendSettings(config: AppConfig, request: Request, response: Response): void {
  const developmentTokens = givesDevelopmentTokens(config) && isFromThisMachine(request);
  response.json({
    version: VERSION,
    sessionLeaseSeconds: config.sessions.leaseSeconds,
    usersCreateOrganisations: config.organisationsCreatedBy === 'any',
    signIn: config.signIn !== undefined,
    takesTokens: config.signIn === undefined || config.environment !== 'production',
    showsProviderCostToUsers: config.showProviderCostToUsers,
    developmentTokens,
    ...(developmentTokens ? { people: config.developmentPeople ?? [] } : {}),
  });
}

function send(file: ConsoleFile, request: Request, response: Response): void {
  for (const [name, value] of HEADERS) response.setHeader(name, value);
  // The page is requested each time, so that a new release is seen at once; its parts are named by their content.
  response.setHeader('Cache-Control', file.isImmutable ? 'public, max-age=31536000, immutable' : 'no-cache');
  response.setHeader('ETag', file.etag);
  response.setHeader('Content-Type', file.type);
  if (request.fresh) return void response.status(304).end();
  const isCompressed = request.acceptsEncodings('gzip') === 'gzip';
  const body = isCompressed ? file.compressed : file.body;
  if (isCompressed) response.setHeader('Content-Encoding', 'gzip');
  response.setHeader('Content-Length', body.length);
  response.end(request.method === 'HEAD' ? undefined : body);
}
