import type { Type } from '@nestjs/common';
import type { GatewayName } from '../common/gateways.js';
import type { Gateway } from './gateway.js';
import { LitellmController } from './litellm/litellm.controller.js';
import { LitellmGateway } from './litellm/litellm.gateway.js';

interface Parts {
  gateway: Type<Gateway>;
  /** Its routes. */
  controller: Type;
}

/** What each gateway is made of. */
export const GATEWAY_PARTS: Record<GatewayName, Parts> = {
  litellm: { gateway: LitellmGateway, controller: LitellmController },
};
