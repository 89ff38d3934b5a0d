import { spawnSync } from 'node:child_process';
import { chown, lstat, readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** How to run the server's programs: as which user, and through what. */
export interface Launcher {
  /** Words before the command. */
  readonly prefix: string[];
  /** Ids for spawn; empty for the present user. */
  readonly ids: { uid?: number; gid?: number };
  /** Who must own the data; undefined for the present user. */
  readonly owner: { uid: number; gid: number; name: string } | undefined;
}

/**
 * PostgreSQL refuses to run as root, so root runs it as `postgres`, or else as `nobody`. Where that user cannot reach a
 * path (a project under /root), the programs get the capability to pass directories, and no other.
 *
 * @param paths what the server's user must reach
 * @throws Error naming the path and the user when it cannot be reached
 */
export async function asPostgresUser(paths: string[]): Promise<Launcher> {
  if (process.getuid?.() !== 0) return { prefix: [], ids: {}, owner: undefined };
  const owner = await unprivilegedUser();
  for (const path of paths) {
    if (await canReach(path, owner)) continue;
    const setpriv = [
      'setpriv',
      `--reuid=${owner.uid}`,
      `--regid=${owner.gid}`,
      '--clear-groups',
      '--inh-caps=+dac_override',
      '--ambient-caps=+dac_override',
    ];
    if (spawnSync(setpriv[0] as string, [...setpriv.slice(1), 'true']).status === 0) {
      return { prefix: setpriv, ids: {}, owner };
    }
    throw new Error(
      `PostgreSQL must not run as root, and the user "${owner.name}" cannot reach ${path}. ` +
        'Make the directories above it passable (chmod o+x), or set EMBEDDED_POSTGRES_DIR and the project to a path that is, or run as another user.',
    );
  }
  return { prefix: [], ids: { uid: owner.uid, gid: owner.gid }, owner };
}

/** Gives a file or a directory with all in it to the server's user, when that is not the present one. */
export async function ownedByLauncher({ owner }: Launcher, path: string): Promise<void> {
  if (owner === undefined) return;
  const status = await lstat(path);
  // The server keeps its directory in one hand: when the top is right, so is the rest.
  if (status.uid === owner.uid) return;
  if (status.isDirectory()) {
    for (const entry of await readdir(path))
      await ownedByLauncher({ prefix: [], ids: {}, owner }, join(path, entry));
  }
  await chown(path, owner.uid, owner.gid);
}

async function unprivilegedUser(): Promise<{ uid: number; gid: number; name: string }> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const entry = lines.find((fields) => fields[0] === name);
    if (entry) return { name, uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new Error(
    'PostgreSQL must not run as root, and there is neither a user "postgres" nor "nobody" to run it as',
  );
}

/** Whether every directory above a path lets the user pass. */
async function canReach(path: string, user: { uid: number; gid: number }): Promise<boolean> {
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    const { mode, uid, gid } = await stat(directory);
    const passable = uid === user.uid ? mode & 0o100 : gid === user.gid ? mode & 0o010 : mode & 0o001;
    if (!passable) return false;
    if (directory === dirname(directory)) return true;
  }
}
