const IS_PACKAGE = import.meta.url.includes('/node_modules/');

/** How a person calls a command: in a checkout by its npm script, where the package is installed by its program. */
export function commandLine(name: string, script = name): string {
  return IS_PACKAGE ? `npx llm-accounting ${name}` : `npm run -s ${script} --`;
}
