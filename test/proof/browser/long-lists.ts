import type { Locator } from 'playwright-core';
import { expect } from 'vitest';

/** Scrolls a table to its end, page by page, until it shows this many: '3,000 records'. */
export async function readToEnd(table: Locator, note: string): Promise<void> {
  const toTheEnd = () => table.evaluate((frame) => frame.scrollTo(0, frame.scrollHeight));
  await expect
    .poll(
      async () => {
        await toTheEnd();
        return table.page().getByText(note).count();
      },
      { timeout: 30_000, interval: 50 },
    )
    .toBe(1);
  await toTheEnd();
}
