import eslint from '@eslint/js';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import { importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/** Which domain modules each of them may import: the imports run one way. */
const MAY_IMPORT = {
  accounts: [],
  credits: ['accounts', 'pricing'],
  pricing: ['accounts'],
  'api-keys': ['accounts'],
  usage: ['accounts', 'credits', 'pricing'],
  'streaming-sessions': ['accounts', 'credits', 'pricing', 'usage'],
  events: ['accounts'],
  integrations: ['accounts', 'api-keys', 'credits', 'pricing', 'usage'],
};
const mayNotImport = (module) =>
  Object.keys(MAY_IMPORT).filter((other) => other !== module && !MAY_IMPORT[module].includes(other));

/** The layers of the console, the lowest first: none imports what is above it. */
const CONSOLE_LAYERS = ['api', 'components', 'pages'];

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'coverage/**', '.data/**', 'src/console/web/api/schema.d.ts'] },
  eslint.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['.config/*', 'test/*.js', 'test/bench/*.js'] },
        tsconfigRootDir: new URL('..', import.meta.url).pathname,
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
  { files: ['src/config/env.ts', 'test/**', '.config/**'], rules: { 'no-restricted-syntax': 'off' } },
  ...Object.keys(MAY_IMPORT).map((module) => ({
    files: [`src/${module}/**`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^(\\.\\./)+(${mayNotImport(module).join('|')})/`,
              message: `${module} may import these modules only: ${MAY_IMPORT[module].join(', ') || 'none'}.`,
            },
          ],
        },
      ],
    },
  })),
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
