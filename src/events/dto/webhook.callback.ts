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
          header(
            'webhook-id',
            'Id of the message, the same for every attempt; use it to ignore repeats',
            'evt_7_m8x2k1c0',
          ),
          header('webhook-timestamp', 'When the attempt was made, in seconds since 1970', '1795262400'),
          header(
            'webhook-signature',
            'One or more HMAC-SHA256 signatures, separated by spaces',
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
              'The event was received. Any 2xx status counts as success, 410 switches the endpoint off, and after anything else the delivery is retried',
          },
        },
      },
    },
  },
};
