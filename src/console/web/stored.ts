/** Choices of a person that this browser keeps: how the console looks, and nothing of what it shows. */
const name = (choice: string) => `accounting-console-${choice}`;

export function stored(choice: string): string | null {
  try {
    return localStorage.getItem(name(choice));
  } catch {
    // A browser may forbid storage; a choice then lasts until the page is closed.
    return null;
  }
}

/** @param value null forgets the choice */
export function store(choice: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(name(choice));
    else localStorage.setItem(name(choice), value);
  } catch {
    // As above.
  }
}
