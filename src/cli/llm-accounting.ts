#!/usr/bin/env node
/** What `llm-accounting NAME` runs, as the npm package installs it; each file reads the options that remain. */
const COMMANDS: Record<string, { file: string; does: string }> = {
  start: {
    file: '../../service.js',
    does: 'Starts the service; with no DATABASE_URL, on a PostgreSQL of its own',
  },
  migrate: { file: './migrate.js', does: "Brings the database to this release's schema, and ends" },
  distribute: { file: './distribute.js', does: 'Spreads the accounts over the servers of a Citus cluster' },
  demo: { file: './demo.js', does: 'Shows the service with a month of use' },
  token: { file: './token.js', does: 'Prints an access token for development' },
  import: { file: './pricing-import.js', does: 'Imports the prices of a catalogue' },
  audit: { file: './audit.js', does: 'Checks that all books agree, and repairs them' },
};
const USAGE = `Accounting for LLM platforms: prepaid credits, holds, usage and prices.

  llm-accounting COMMAND [options]

${Object.entries(COMMANDS)
  .map(([name, { does }]) => `${name.padEnd(10)} ${does}`)
  .join('\n')}

llm-accounting COMMAND --help explains the options of a command. Settings are environment variables, or stand in .env.
`;

const [name, ...options] = process.argv.slice(2);
const command = Object.entries(COMMANDS).find(([known]) => known === name)?.[1];
if (command !== undefined) {
  process.setSourceMapsEnabled(true);
  process.argv.splice(2, Infinity, ...options);
  await import(command.file);
} else if (name === undefined || name === '--help' || name === '-h') {
  process.stdout.write(USAGE);
} else {
  process.stderr.write(`There is no command "${name}".\n\n${USAGE}`);
  process.exitCode = 1;
}
