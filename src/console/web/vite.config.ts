import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const SERVICE = 'http://localhost:3001';

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: '/console/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: fileURLToPath(new URL('../../../dist/console', import.meta.url)),
    emptyOutDir: true,
    target: 'es2023',
    // The content security policy allows files only: nothing becomes a data URL or an inline script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    sourcemap: false,
  },
  server: { proxy: { '/api': SERVICE, '/health': SERVICE, '/console/config.json': SERVICE } },
  logLevel: 'warn',
});
