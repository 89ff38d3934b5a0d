import text from '../../../docs/figures.md?raw';

/** The meaning of each figure by its name: the first paragraph of its section in docs/figures.md. */
const MEANINGS = new Map(
  text
    .split('\n### ')
    .slice(1)
    .map((section) => {
      const [name = '', meaning = ''] = section.split('\n\n');
      return [name, meaning.replaceAll('\n', ' ')] as const;
    }),
);

/** @throws Error for a figure that the page does not have */
export function meaningOf(figure: string): string {
  const meaning = MEANINGS.get(figure);
  if (meaning === undefined) throw new Error(`docs/figures.md does not define ${figure}`);
  return meaning;
}
