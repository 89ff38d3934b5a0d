import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/** One file of the console as it is sent. */
export interface ConsoleFile {
  readonly body: Buffer;
  readonly compressed: Buffer;
  readonly type: string;
  readonly etag: string;
  /** Its name has a hash of its content, so that the content never changes. */
  readonly isImmutable: boolean;
}

/** By path below `/console`. */
export type ConsoleFiles = ReadonlyMap<string, ConsoleFile>;

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml; charset=utf-8',
};

/** Where the build puts the console; the first when the service is compiled, the second when it runs from its source. */
const DIRECTORIES = ['../../console', '../../dist/console'];

export const ASSETS = '/assets/';
export const INDEX = '/index.html';

/**
 * Every file of the built console, kept in memory: they are few, and no other path can reach a file. Empty when the
 * console has not been built.
 */
export function readConsole(): ConsoleFiles {
  const directory = DIRECTORIES.map((path) => fileURLToPath(new URL(path, import.meta.url))).find((path) =>
    existsSync(join(path, INDEX)),
  );
  if (directory === undefined) return new Map();
  return new Map(
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && extname(entry.name) in TYPES)
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => {
        const path = file.slice(directory.length).replaceAll('\\', '/');
        return [path, fileOf(path, readFileSync(file))];
      }),
  );
}

function fileOf(path: string, body: Buffer): ConsoleFile {
  return {
    body,
    compressed: gzipSync(body, { level: 9 }),
    type: TYPES[extname(path)] as string,
    etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
    isImmutable: path.startsWith(ASSETS),
  };
}
