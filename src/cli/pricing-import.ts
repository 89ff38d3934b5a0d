import { importPrices } from './price-import-command.js';

importPrices(process.argv.slice(2), {
  result: (text) => void process.stdout.write(text),
  progress: (line) => void process.stderr.write(`${line}\n`),
}).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
