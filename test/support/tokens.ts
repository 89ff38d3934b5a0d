import jwt from 'jsonwebtoken';

export const SECRET = 'sjXod8mxLL8FCJPJZkliaJFmOTCHAjQUJSGLcD_nveNL';

export interface TokenClaims {
  sub: string;
  email: string;
  username: string;
  role: string;
  type: string;
}

/** An access token as the authentication service signs it; a claim set to undefined is left out. */
export function accessToken(
  claims: { [Claim in keyof TokenClaims]?: unknown } & { sub: unknown },
  options: jwt.SignOptions = {},
  key: jwt.Secret = SECRET,
): string {
  const all = {
    email: `${String(claims.sub)}@example.com`,
    username: String(claims.sub),
    role: 'user',
    type: 'access',
    ...claims,
  };
  const present = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  return jwt.sign(present, key, { algorithm: 'HS256', expiresIn: 3600, ...options });
}
