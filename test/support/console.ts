import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import { compileService, type ServiceProcess } from './service-process.js';
import { INTERNAL_KEY, startService, type TestService } from './service.js';
import { accessToken, SECRET } from './tokens.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const SCREENSHOTS = join(ROOT, 'test/proof/browser/screenshots');

/** The service as it is released, its console included, as a process of its own. */
export interface ConsoleService {
  /** `http://127.0.0.1:port`, the same after each start. */
  url: string;
  /** An instance on the same database, for what a test does without the console. */
  direct: TestService;
  stop(): Promise<void>;
  /** @param env beyond what it has otherwise */
  start(env?: Record<string, string>): Promise<void>;
  close(): Promise<void>;
}

/** Builds the console as `npm run build` does, to where the service compiled into `directory` looks for it. */
export async function buildConsole(directory: string): Promise<void> {
  await build({
    configFile: join(ROOT, 'src/console/web/vite.config.ts'),
    logLevel: 'error',
    build: { outDir: join(directory, 'console'), reportCompressedSize: false },
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((ready) => server.once('listening', ready));
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return port;
}

/** @param env beyond what the tests' services have; may depend on the service's address */
export async function startConsole(
  env: Record<string, string> | ((url: string) => Promise<Record<string, string>>) = {},
): Promise<ConsoleService> {
  const direct = await startService();
  const compiled = await compileService();
  await buildConsole(compiled.directory);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const settings = typeof env === 'function' ? await env(url) : env;
  let running: ServiceProcess | undefined;
  const start = async (more: Record<string, string> = {}) => {
    running = await compiled.start({
      DATABASE_URL: direct.databaseUrl,
      JWT_ACCESS_SECRET: SECRET,
      INTERNAL_API_KEY: INTERNAL_KEY,
      LOG_LEVEL: 'warn',
      SWEEP_INTERVAL_SECONDS: '1',
      PORT: String(port),
      ...settings,
      ...more,
    });
  };
  const stop = async () => {
    await running?.stop();
    running = undefined;
  };
  await start();
  return {
    url,
    direct,
    start,
    stop,
    close: async () => {
      await stop();
      await compiled.remove();
      await direct.close();
    },
  };
}

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM as string,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-sync'],
  });
}

export interface Visitor {
  page: Page;
  /** Errors of the page's scripts, and violations of its content security policy. */
  complaints: string[];
}

interface Visit {
  path?: string;
  viewport?: { width: number; height: number };
  colorScheme?: 'light' | 'dark';
}

/** A page of the console in a new browser context, not signed in. */
export async function visit(browser: Browser, url: string, options: Visit = {}): Promise<Visitor> {
  const { path = '', viewport = { width: 1440, height: 900 }, colorScheme = 'light' } = options;
  const context = await browser.newContext({
    viewport,
    colorScheme,
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // A refusal of the API is an answer that the console shows, not a fault.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      complaints.push(message.text());
  });
  await page.goto(`${url}/console${path}`);
  return { page, complaints };
}

/** Signs in as a person does, with a token of this user and role. */
export async function signIn(page: Page, sub: string, role = 'admin', expiresIn = 3600): Promise<void> {
  await page.getByLabel('Access token').fill(accessToken({ sub, role }, { expiresIn }));
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('main').getByRole('heading', { level: 1 }).filter({ hasNotText: 'Sign in' }).waitFor();
}

/** Kept as an artefact of the run. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}
