#!/usr/bin/env node
import { runProgram } from './program.js';

const exitCode = await runProgram(process.argv.slice(2));
// What was written to a pipe is still on its way. Nothing else may keep a finished command alive.
await Promise.all(
  [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))),
);
process.exit(exitCode);
