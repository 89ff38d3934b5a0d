/** RFC 4180, read strictly: lines end with CR LF, a quote inside quotes is doubled, and none stands elsewhere. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  let position = 0;
  while (position < text.length) {
    const quoted = text[position] === '"';
    const field = quoted ? /"((?:[^"]|"")*)"/y : /([^",\r\n]*)/y;
    field.lastIndex = position;
    const match = field.exec(text);
    if (match === null) throw new Error(`no field at ${position}: ${text.slice(position, position + 40)}`);
    rows.at(-1)?.push((match[1] as string).replaceAll('""', '"'));
    position += match[0].length;
    if (text[position] === ',') position += 1;
    else if (text.startsWith('\r\n', position)) {
      rows.push([]);
      position += 2;
    } else throw new Error(`neither comma nor line end at ${position}`);
  }
  if (rows.pop()?.length !== 0) throw new Error('the last line has no end');
  return rows;
}

export const USAGE_CSV_HEADER = [
  ...['id', 'userId', 'timestamp', 'service', 'operation', 'credits', 'billingStatus', 'uncollectedCredits'],
  ...['providerCostUsd', 'sessionId', 'pricingRuleId', 'pricingSource', 'metadata'],
  ...['providerCostSource', 'requestId', 'apiKeyId', 'reviewAction', 'accountId', 'unitId', 'tags'],
];
