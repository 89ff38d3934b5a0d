/** Filled in where the service tells what happens. */
export function Activity() {
  return null;
}
