import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';

const TAGS: Record<string, string> = {
  Credits: 'Balances, allocations, and the ledger of every change.',
  'Streaming sessions': 'Hold credits when a stream starts, settle when it ends.',
  Usage: 'What was used, and statistics over it.',
  Pricing: 'What a model costs, and from when.',
  Health: 'For load balancers and people.',
};

/** The OpenAPI document, made from the decorators. */
export function createDocument(app: INestApplication): OpenAPIObject {
  const builder = new DocumentBuilder()
    .setTitle('LLM accounting service')
    .setVersion('1.0.0')
    .setDescription(
      'Prepaid credits, holds of streaming sessions, usage and prices for an LLM platform. Credits are integers; ' +
        'prices and USD are decimal strings; times are ISO 8601 in UTC. Errors are problem+json with a stable `code`.',
    )
    .setLicense('Proprietary', 'https://example.invalid/license')
    .addServer('/')
    .addBearerAuth({
      type: 'http',
      scheme: 'bearer',
      bearerFormat: 'JWT',
      description: 'Access token of the authentication service',
    })
    .addApiKey(
      {
        type: 'apiKey',
        in: 'header',
        name: 'X-Internal-API-Key',
        description:
          'A trusted service; it names the user in `userId` or forwards the user’s token beside it',
      },
      'internal',
    );
  for (const [name, description] of Object.entries(TAGS)) builder.addTag(name, description);
  const document = SwaggerModule.createDocument(app, builder.build());
  document.openapi = '3.0.3';
  // Express writes the rest of a path as *modelId; in the document it is an ordinary parameter.
  document.paths = Object.fromEntries(
    Object.entries(document.paths).map(([path, item]) => [path.replace(/\{?\*(\w+)\}?/g, '{$1}'), item]),
  );
  return document;
}

/** Swagger UI at `/api/docs`, the document at `/api/docs-json`; its scripts are files of this server, as the CSP asks. */
export function setUpSwagger(app: INestApplication): void {
  SwaggerModule.setup('api/docs', app, () => createDocument(app), {
    jsonDocumentUrl: 'api/docs-json',
    yamlDocumentUrl: 'api/docs-yaml',
    customSiteTitle: 'LLM accounting service',
    swaggerOptions: { persistAuthorization: false, displayRequestDuration: true, tryItOutEnabled: true },
  });
}
