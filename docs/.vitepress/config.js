import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';
import { checkLinks, linkPages } from './links.js';
import { apiPages } from './openapi.js';
import { pageOf } from './pages.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BASE = process.env.DOCS_BASE ?? '/';
const { version } = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8'));

/** Every Markdown file that is no page. */
const elsewhere = readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter(
  (file) => file.endsWith('.md') && !/(^|\/)node_modules\//.test(file) && pageOf(file) === undefined,
);

const modules = readdirSync(`${ROOT}/src`, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('/README.md'))
  .map((file) => pageOf(`src/${file}`).slice('modules/'.length, -'.md'.length))
  .concat('migrations')
  .sort();

const packaged = (name) => fileURLToPath(import.meta.resolve(name));
const items = (entries) => Object.entries(entries).map(([text, link]) => ({ text, link }));

export default defineConfig({
  title: 'LLM accounting',
  description: 'Prepaid credits, holds, budgets, usage and prices for LLM platforms.',
  lang: 'en',
  base: BASE,
  srcDir: ROOT,
  srcExclude: ['**/node_modules/**', ...elsewhere],
  rewrites: pageOf,
  outDir: fileURLToPath(new URL('dist', import.meta.url)),
  cacheDir: fileURLToPath(new URL('cache', import.meta.url)),
  cleanUrls: false,
  lastUpdated: false,
  markdown: { config: (md) => linkPages(md, ROOT) },
  buildEnd: ({ outDir }) => {
    process.stdout.write(`${checkLinks(outDir, BASE)} pages; every link leads somewhere\n`);
  },
  vite: {
    publicDir: false,
    // Pages outside of this folder find the packages of this folder.
    resolve: {
      alias: [
        { find: /^vue$/, replacement: packaged('vue/dist/vue.runtime.esm-bundler.js') },
        { find: /^vue\/server-renderer$/, replacement: packaged('vue/server-renderer') },
      ],
    },
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: items({
      'Quick start': '/quick-start',
      Guides: '/guides/chat-service',
      API: '/api/',
      'Error codes': '/errors',
      [version]: '/changelog',
    }),
    sidebar: [
      {
        text: 'Start',
        items: items({ 'Quick start': '/quick-start', Concepts: '/concepts', Glossary: '/glossary' }),
      },
      {
        text: 'Guides',
        items: items({
          'A chat service': '/guides/chat-service',
          'A session, call by call': '/guides/session',
          'Prices and API keys': '/guides/prices',
          'Organisations and budgets': '/guides/organisations',
          LiteLLM: '/guides/litellm',
          'Clients for any language': '/guides/any-language',
          'Events and alerts': '/guides/events',
        }),
      },
      {
        text: 'Run it',
        items: items({
          Deployment: '/guides/deployment',
          Configuration: '/configuration',
          'Signing in': '/signing-in',
          Operations: '/operations',
          Upgrade: '/operations#upgrade',
          'A Citus cluster': '/cluster',
          Speed: '/speed',
        }),
      },
      {
        text: 'Help',
        items: items({
          'Error codes': '/errors',
          Troubleshooting: '/troubleshooting',
          FAQ: '/faq',
        }),
      },
      {
        text: 'Reference',
        items: [
          {
            text: 'API',
            link: '/api/',
            collapsed: true,
            items: apiPages().map(({ params }) => ({ text: params.title, link: `/api/${params.page}` })),
          },
          ...items({ Figures: '/figures', 'The metering clients': '/clients/', Changelog: '/changelog' }),
        ],
      },
      {
        text: 'The project',
        items: [
          ...items({
            Architecture: '/architecture',
            Contributing: '/contributing',
            Tests: '/tests',
            Security: '/security',
            'The original design': '/differences',
          }),
          {
            text: 'Modules',
            collapsed: true,
            items: modules.map((name) => ({ text: name, link: `/modules/${name}` })),
          },
        ],
      },
    ],
  },
});
