/** What stands in examples until it is replaced. */
const PLACEHOLDER =
  /(change|replace)[-_ .]?(me|this|it|in|with)|placeholder|your[-_ ](own|secret|jwt|key|api|random|super|strong|internal|access|token|\d)|correct.?horse/i;
/** Words, digits and signs that together are no secret, such as `my-super-secret-jwt-key-1234567890`. */
const COMMON_WORDS =
  /^(my|the|a|very|super|long|top|jwt|access|internal|api|metrics|webhook|llm|accounting|service|admin|test|dev|default|example|secret|key|token|password|passphrase|[\d\W_])+$/i;
/**
 * Text that something else should have put a secret in the place of: a variable, a template, the path of a file, or a
 * reference to a store of secrets.
 */
const UNRESOLVED =
  /^(arn:|vault:|ssm:|secretsmanager:|ref\+|@Microsoft\.KeyVault|projects\/|[a-z][a-z0-9+.-]*:\/\/|\$[({]|\$[A-Z][A-Z_]{3}|\{\{|<.*>$|file:|(~|\.{1,2})?\/(run|etc|var|home|opt|mnt|usr|tmp|vault|secrets?|app|data|root)\/)/i;
/** A word that no random text has; what stands beside it must be a secret in itself. */
const REVEALING_WORDS = new Set(
  'secret password passwd passphrase example sample dummy todo fixme your insert'.split(' '),
);
const FILLING_WORDS = new Set(
  'my the this that is are for and with here very super long top real string text value key token jwt access internal api metrics webhook service admin test dev default env bit bits least minimum character characters chars please'.split(
    ' ',
  ),
);
/** The same in one word, as in `supersecretpassword`. */
const REVEALING = /secret|passw(or)?d|passphrase/;
const KNOWN = new RegExp(
  [...REVEALING_WORDS, ...FILLING_WORDS]
    .filter((word) => word.length > 2)
    .sort((a, b) => b.length - a.length)
    .join('|'),
  'g',
);
const MINIMUM_BESIDE_WORDS = 20;
/** Neighbours in these, in either direction, are no chance when most of a text has them. */
const RUNS = 'abcdefghijklmnopqrstuvwxyz 01234567890 qwertyuiop asdfghjkl zxcvbnm';
const MAXIMUM_SHARE_OF_RUNS = 0.7;
const REPETITION = /^(.{1,16}?)\1+.{0,15}$/;
/** Random bytes in hexadecimal have about fourteen. */
const MINIMUM_DIFFERENT_CHARACTERS = 8;

/** Why a text is not fit to be a secret however long it is, or undefined when nothing is known against it. */
export function weakness(secret: string): string | undefined {
  if (PLACEHOLDER.test(secret)) return 'must be replaced: it is the placeholder of an example';
  if (UNRESOLVED.test(secret))
    return 'must be the secret itself: it is the name of a variable or a file, or a template';
  if (COMMON_WORDS.test(secret) || isSentence(secret))
    return 'must not be made of common words; "openssl rand -base64 32" makes one';
  const isMonotonous =
    REPETITION.test(secret) || isRun(secret) || new Set(secret).size < MINIMUM_DIFFERENT_CHARACTERS;
  return isMonotonous ? 'must not repeat itself; "openssl rand -base64 32" makes one' : undefined;
}

/** Whether too little is left without common words and numbers. */
function isSentence(secret: string): boolean {
  const words = secret.toLowerCase().split(/[^a-z0-9]+/);
  // The number behind a word; hexadecimal digits may end in many figures, too.
  const stemOf = (word: string) => word.replace(/^([a-z]*)\d+$/, '$1');
  if (!words.some((word) => REVEALING_WORDS.has(stemOf(word)) || REVEALING.test(word))) return false;
  const left = words.map((word) => stemOf(word).replace(KNOWN, '')).filter((rest) => rest.length > 2);
  return left.join('').length < MINIMUM_BESIDE_WORDS;
}

function isRun(secret: string): boolean {
  const text = secret.toLowerCase();
  const pairs = Array.from({ length: text.length - 1 }, (_, index) => text.slice(index, index + 2));
  const isNext = ([a = '', b = '']: string) => a === b || RUNS.includes(a + b) || RUNS.includes(b + a);
  return pairs.filter(isNext).length > pairs.length * MAXIMUM_SHARE_OF_RUNS;
}
