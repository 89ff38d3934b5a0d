import eslint from '@eslint/js';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import { importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

const ROOT = new URL('..', import.meta.url).pathname;

/** Which others each folder of `src` may import, and does: the imports run one way. A test holds it and the map in docs/architecture.md. */
export const MAY_IMPORT = {
  config: [],
  common: ['config'],
  accounts: ['common'],
  auth: ['accounts', 'common', 'config'],
  activity: ['accounts', 'auth', 'common', 'config'],
  alerts: ['auth', 'common', 'config', 'events'],
  events: ['accounts', 'auth', 'common', 'config'],
  pricing: ['auth', 'common', 'config'],
  credits: ['accounts', 'auth', 'common', 'config', 'pricing'],
  'account-directory': ['auth', 'common'],
  budgets: ['accounts', 'auth', 'common'],
  'api-keys': ['accounts', 'auth', 'common', 'config'],
  console: ['auth', 'common', 'config', 'events'],
  health: ['auth', 'common', 'config', 'credits', 'migrations'],
  usage: ['accounts', 'auth', 'common', 'config', 'credits', 'pricing'],
  integrations: ['api-keys', 'auth', 'common', 'config', 'pricing', 'usage'],
  organisations: ['auth', 'common', 'config'],
  search: ['auth', 'common'],
  'streaming-sessions': ['accounts', 'auth', 'common', 'config', 'credits', 'pricing'],
  'postgres-server': ['common', 'config', 'migrations', 'ormconfig'],
  demo: ['app', 'auth', 'common', 'config', 'events', 'postgres-server', 'pricing'],
  cli: ['app', 'auth', 'common', 'config', 'credits', 'demo', 'migrations', 'postgres-server'],
};
const PLACES = { app: 'src/app.setup.ts', migrations: 'migrations', ormconfig: 'ormconfig.ts' };

/** The layers of the console, the lowest first: none imports what is above it. */
const CONSOLE_LAYERS = ['api', 'components', 'pages'];

export default tseslint.config(
  {
    ignores: [
      ...['dist/**', 'node_modules/**', 'coverage/**', '.data/**', 'src/console/web/api/schema.d.ts'],
      ...['docs/.vitepress/dist/**', 'docs/.vitepress/cache/**'],
      // A package of its own, with its own configuration.
      'clients/typescript/**',
    ],
  },
  eslint.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: {
          allowDefaultProject: [
            '.config/*',
            'docs/.vitepress/*.js',
            'docs/api/*.js',
            'test/*.js',
            'test/bench/*.js',
            'clients/generated/*.js',
            'clients/testing/*.js',
          ],
        },
        tsconfigRootDir: ROOT,
      },
    },
    plugins: { 'import-x': importX },
    settings: { 'import-x/resolver-next': [createTypeScriptImportResolver()] },
    rules: {
      // The compiler knows better what is defined.
      'no-undef': 'off',
      // A circle passes under the test runner and kills the compiled application.
      'import-x/no-cycle': 'error',
      // It would turn injected classes into types, and the injector would find nothing.
      '@typescript-eslint/consistent-type-imports': 'off',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      'no-restricted-syntax': [
        'error',
        {
          selector: "MemberExpression[object.name='process'][property.name='env']",
          message: 'Only src/config/env.ts reads the environment.',
        },
      ],
      eqeqeq: 'error',
    },
  },
  { files: ['**/*.js'], extends: [tseslint.configs.disableTypeChecked] },
  {
    files: ['src/config/env.ts', 'test/**', 'clients/**', 'docs/**', '.config/**'],
    rules: { 'no-restricted-syntax': 'off' },
  },
  {
    files: ['src/**'],
    rules: {
      'import-x/no-restricted-paths': [
        'error',
        {
          basePath: ROOT,
          zones: Object.entries(MAY_IMPORT).map(([module, others]) => ({
            target: `src/${module}`,
            from: '.',
            // The console shows the sentences of docs/figures.md.
            except: [
              'node_modules',
              'docs/figures.md',
              ...[module, ...others].map((each) => PLACES[each] ?? `src/${each}`),
            ],
            message: `${module} may import these only: ${others.join(', ') || 'none'}.`,
          })),
        },
      ],
    },
  },
  ...CONSOLE_LAYERS.map((layer, index) => ({
    files: [`src/console/web/${layer}/**`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^\\.\\./(${[...CONSOLE_LAYERS.slice(index + 1), 'main', 'shell'].join('|')})(/|$)`,
              message: `${layer} must not import the layers above it.`,
            },
          ],
        },
      ],
    },
  })),
);
