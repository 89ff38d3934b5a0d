/** The gateways that this service knows, each by the name of its folder in `integrations`. */
export const GATEWAYS = ['litellm'] as const;
export type GatewayName = (typeof GATEWAYS)[number];

/** How the request ids of a gateway's calls begin; no other caller may take one of them first. */
export function requestIdPrefix(gateway: GatewayName): string {
  return `${gateway}:`;
}
