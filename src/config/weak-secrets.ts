/** What stands in examples until it is replaced. */
const PLACEHOLDER =
  /(change|replace)[-_ .]?(me|this|it|in|with)|placeholder|your[-_ ](own|secret|jwt|key|api|random|super|strong|internal|access|token)/i;
/** Words, digits and signs that together are no secret, such as `my-super-secret-jwt-key-1234567890`. */
const COMMON_WORDS =
  /^(my|the|a|very|super|long|top|jwt|access|internal|api|metrics|webhook|llm|accounting|service|admin|test|dev|default|example|secret|key|token|password|passphrase|[\d\W_])+$/i;
const REPETITION = /^(.{1,16}?)\1+.{0,15}$/;
/** Random bytes in hexadecimal have about fourteen. */
const MINIMUM_DIFFERENT_CHARACTERS = 8;

/** Why a text is not fit to be a secret however long it is, or undefined when nothing is known against it. */
export function weakness(secret: string): string | undefined {
  if (PLACEHOLDER.test(secret)) return 'must be replaced: it is the placeholder of an example';
  if (COMMON_WORDS.test(secret))
    return 'must not be made of common words; "openssl rand -base64 32" makes one';
  const isMonotonous = REPETITION.test(secret) || new Set(secret).size < MINIMUM_DIFFERENT_CHARACTERS;
  return isMonotonous ? 'must not repeat itself; "openssl rand -base64 32" makes one' : undefined;
}
