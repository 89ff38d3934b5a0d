import { type ApiOperationOptions, getSchemaPath } from '@nestjs/swagger';
import { EventDto, WebhookTestEventDto } from './events.responses.js';

const header = (name: string, description: string, example: string) =>
  ({ name, in: 'header', required: true, description, schema: { type: 'string' }, example }) as const;

/** What is sent to an endpoint (https://www.standardwebhooks.com): for the OpenAPI document. */
export const WEBHOOK_CALLBACK: NonNullable<ApiOperationOptions['callbacks']> = {
  event: {
    '{$request.body#/url}': {
      post: {
        parameters: [
          header('webhook-id', 'The same for every attempt: drop repeats by it', 'evt_7_m8x2k1c0'),
          header('webhook-timestamp', 'When the attempt was made, in seconds since 1970', '1795262400'),
          header(
            'webhook-signature',
            'HMAC-SHA256, one or more with spaces between',
            'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=',
          ),
        ],
        requestBody: {
          required: true,
          content: {
            'application/json': {
              schema: {
                oneOf: [EventDto, WebhookTestEventDto].map((model) => ({ $ref: getSchemaPath(model) })),
              },
            },
          },
        },
        responses: {
          200: {
            description:
              'Accepted, as is any 2xx. 410 switches the endpoint off; anything else is tried again',
          },
        },
      },
    },
  },
};
