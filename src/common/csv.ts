/** A line of CSV (RFC 4180) that a spreadsheet takes for no formula. */
export function csvLine(values: (string | number | null)[]): string {
  return `${values.map(csvField).join(',')}\r\n`;
}

/** A row of an answer as a line; what is an object there is JSON. */
export function csvRow<Row>(row: Row, names: readonly (keyof Row)[]): string {
  const field = (value: unknown) =>
    typeof value === 'string' || typeof value === 'number' || value === null ? value : JSON.stringify(value);
  return csvLine(names.map((name) => field(row[name])));
}

/**
 * Where a spreadsheet would begin a formula: at the start of a field, and after a semicolon or a line break, which begin
 * one where the spreadsheet's list separator is the semicolon; quotes may stand between. The wide forms count as the plain
 * ones do.
 */
const FORMULA = /(?<=(?:^|[;\r\n])"*)(?=[=+\-@\t\r＝＋－＠])/g;

/** Texts that a spreadsheet would take for a formula get an apostrophe, so that opening the file runs nothing. */
function csvField(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const text = value.replace(FORMULA, "'");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
