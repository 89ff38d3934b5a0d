/** Longest `models` parameter, all patterns together. */
export const MODELS_LENGTH = 500;

export type ModelFilter = (modelId: string) => boolean;

/**
 * Which models an import is about: patterns between commas, `*` for any text and `?` for any one character, slashes
 * included. Every model, without patterns.
 */
export function modelFilter(models: string | undefined): ModelFilter {
  if (models === undefined) return () => true;
  const patterns = models.split(',').map((pattern) => pattern.trim());
  return (modelId) => patterns.some((pattern) => matches(pattern, modelId));
}

/** Why a text names no models, or undefined when it does. */
export function modelsProblem(models: unknown): string | undefined {
  if (typeof models !== 'string') return 'must be a string';
  return models.split(',').some((pattern) => pattern.trim() === '')
    ? 'must be comma-separated patterns, for example gpt-*,claude-?-opus*'
    : undefined;
}

/**
 * Walks along the text once, going back no further than the last star: a caller's pattern made into a regular expression
 * could take exponential time. Globs for files (picomatch) are such expressions, and give slashes, dots and brackets of
 * model ids a meaning.
 */
function matches(pattern: string, text: string): boolean {
  let [at, inPattern] = [0, 0];
  let [star, retry] = [-1, 0];
  while (at < text.length) {
    const wanted = pattern[inPattern];
    if (wanted === '*') {
      star = inPattern++;
      retry = at;
    } else if (wanted === '?' || wanted === text[at]) {
      inPattern++;
      at++;
    } else if (star >= 0) {
      // The last star takes one character more.
      inPattern = star + 1;
      at = ++retry;
    } else {
      return false;
    }
  }
  while (pattern[inPattern] === '*') inPattern++;
  return inPattern === pattern.length;
}
