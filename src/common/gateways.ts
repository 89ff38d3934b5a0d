/** The gateways that this service knows, each by the name of its folder in `integrations`. */
export const GATEWAYS = ['litellm'] as const;
export type GatewayName = (typeof GATEWAYS)[number];

/** How gateways group the keys that they know. */
export const GROUP_KINDS = ['team', 'organization'] as const;

/** A group of keys at a gateway, by its id there: an organisation may be set to pay for its calls. */
export interface GatewayGroup {
  kind: (typeof GROUP_KINDS)[number];
  id: string;
}

/** How the request ids of a gateway's calls begin; no other caller may take one of them first. */
export function requestIdPrefix(gateway: GatewayName): string {
  return `${gateway}:`;
}
