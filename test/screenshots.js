import { mkdirSync, statSync } from 'node:fs';
import { chromium } from 'playwright-core';

/**
 * Takes the pictures of the console in docs/quick-start.md from a running development service with data, such as
 * `npm run demo`. SERVICE_URL names another address than http://localhost:3001.
 */
const SERVICE = process.env.SERVICE_URL ?? 'http://localhost:3001';
const DIRECTORY = 'src/console/pictures';
/** The demo's user without credits. */
const IN_TROUBLE = 'nora.quist';
const LARGEST_BYTES = 200_000;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-sync'],
});
try {
  mkdirSync(DIRECTORY, { recursive: true });
  await picture('overview', 'light', async (page) => {
    await page.getByText('Needs attention').waitFor();
  });
  await picture('user', 'dark', async (page) => {
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Users' }).click();
    await page.getByLabel('Search users').fill(IN_TROUBLE);
    await page.getByRole('link', { name: IN_TROUBLE }).click();
    await page.getByRole('region', { name: 'Ledger, newest first' }).waitFor();
  });
} finally {
  await browser.close();
}

async function picture(name, colorScheme, lead) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme });
  await page.goto(`${SERVICE}/console`);
  await page.getByRole('button', { name: 'Ada Moreau' }).click();
  await lead(page);
  await page.locator('.skeleton').first().waitFor({ state: 'detached' });
  const path = `${DIRECTORY}/${name}.png`;
  await page.screenshot({ path });
  const { size } = statSync(path);
  if (size > LARGEST_BYTES) throw new Error(`${path} has ${size} bytes, more than ${LARGEST_BYTES}`);
  process.stdout.write(`${path}: ${Math.round(size / 1000)} kB\n`);
}
