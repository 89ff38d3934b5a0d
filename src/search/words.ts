/** What stands between words: all signs and spaces of ASCII, the no-break space, dashes, quotation marks, and `…`. */
const BETWEEN = String.raw`[\u0001-/:-@\u005b-\u0060{-\u00a0\u2010-\u2027]+`;
const MOST_WORDS = 8;

/** The words of an SQL expression, as the indexes in migrations/baseline.sql have them. */
export const wordsOf = (text: string) =>
  `array_to_tsvector(array_remove(regexp_split_to_array(lower(${text}), '${BETWEEN}'), ''))`;

/** A letter alone is none: too much begins with it. In scripts beyond ASCII one character may be a whole word. */
const isWord = (word: string) => word.length > 1 || word > '~';

/** The words that are searched for, each once. */
const searchedWords = (text: string): string[] => [
  ...new Set(text.split(new RegExp(BETWEEN, 'u')).filter(isWord)),
];

/** @returns what is wrong with a text to search for */
export function searchProblem(text: string): string | undefined {
  // Signs count too: the hint of a key may be made of them.
  if (!text.split(/\s+/).some(isWord)) return 'must have a word of at least 2 characters';
  return searchedWords(text).length > MOST_WORDS ? `must have at most ${MOST_WORDS} words` : undefined;
}

/**
 * What begins with each of the words, as a tsquery; null without words. Words have no quotation marks and no backslashes, so
 * nothing in them has a meaning here.
 */
export function wordQuery(text: string): string | null {
  return (
    searchedWords(text)
      .map((word) => `'${word}':*`)
      .join(' & ') || null
  );
}
