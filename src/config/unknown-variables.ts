/** Beginnings of names that are ours alone; `SESSION_` or `LOG_` may be those of any other program. */
const OUR_PREFIX =
  /^(DB|DATABASE|MIGRATION|EMBEDDED|JWT|JWKS|INTERNAL_API|METRICS|METERING|SWEEP|CREDITS|WEBHOOK|RATE_LIMIT|UNPRICED|COMBINE)_/;
const DATABASE_PREFIX = /^(DB|DATABASE|MIGRATION|EMBEDDED)_/;
/** What Kubernetes sets in every container for a service that is called `db` or `webhook`. */
const KUBERNETES = /_SERVICE_(HOST|PORT)|_PORT_\d+_(TCP|UDP)|_PORT$/;
/** Where other programs keep the address of a database, in capitals or not. */
const OTHER_DATABASE =
  /^(DB|DATABASE|POSTGRES|POSTGRESQL|PG(HOST|HOSTADDR|PORT|DATABASE|USER|PASSWORD|SERVICE)$)|_DATABASE_URL$/i;
/** Names of at least this length are compared; short ones are like too many others. */
const MINIMUM_LENGTH = 8;
const MAXIMUM_MISTAKES = 2;

export interface UnknownVariable {
  readonly name: string;
  /** The variable that was probably meant. */
  readonly nearest: string;
  readonly isOfDatabase: boolean;
}

/** Variables that look like ours and are none: by their beginning, or by at most two wrong characters or words left out. */
export function unknownVariables(env: NodeJS.ProcessEnv, known: ReadonlySet<string>): UnknownVariable[] {
  const names = Object.keys(env).filter((name) => !known.has(name) && !isOfKubernetes(name, env));
  return names.flatMap((name) => {
    const [nearest, mistakes] = nearestOf(name.toUpperCase(), known);
    const isMisspelt = name.length >= MINIMUM_LENGTH && mistakes <= MAXIMUM_MISTAKES;
    if (!isMisspelt && !OUR_PREFIX.test(name)) return [];
    return [{ name, nearest, isOfDatabase: DATABASE_PREFIX.test(name) || DATABASE_PREFIX.test(nearest) }];
  });
}

/** Variables that are set and say where a database is, whether or not this service reads them. */
export function databaseHints(env: NodeJS.ProcessEnv, ours: ReadonlySet<string>): string[] {
  return Object.keys(env).filter(
    (name) => OTHER_DATABASE.test(name) && env[name]?.trim() && !ours.has(name) && !isOfKubernetes(name, env),
  );
}

function isOfKubernetes(name: string, env: NodeJS.ProcessEnv): boolean {
  return KUBERNETES.test(name) && (!name.endsWith('_PORT') || /^\w+:\/\//.test(env[name] ?? ''));
}

/** Words of a name that are left out are one mistake, as in SESSION_MAX_AGE. */
function nearestOf(name: string, known: ReadonlySet<string>): [nearest: string, mistakes: number] {
  if (known.has(name)) return [name, 0];
  const whole = [...known].find((each) => leavesOutWords(name, each));
  if (whole !== undefined) return [whole, 1];
  const [first = ''] = name.split('_');
  const ranked = [...known].map((each) => {
    const mistakes = distance(name, each);
    // Of names that are far, those are nearer that are about the same thing.
    const isOther = mistakes > MAXIMUM_MISTAKES && !each.split('_').includes(first);
    return { each, far: mistakes + (isOther ? name.length : 0), same: commonStart(name, each) };
  });
  ranked.sort((a, b) => a.far - b.far || b.same - a.same);
  return [ranked[0]?.each ?? '', ranked[0]?.far ?? Infinity];
}

/** Whether a name has some of the other's words in their order, among them the first and one more. */
function leavesOutWords(name: string, whole: string): boolean {
  const words = name.split('_');
  const rest = whole.split('_');
  if (words.length < 2 || words.length >= rest.length || words[0] !== rest[0]) return false;
  return words.every((word) => {
    const index = rest.indexOf(word);
    return index >= 0 && rest.splice(0, index + 1).length > 0;
  });
}

function commonStart(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

/** How many characters must be put in, left out or changed (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
