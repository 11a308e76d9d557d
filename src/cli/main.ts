#!/usr/bin/env node
import { endProcess } from './end-process.js';
import { runProgram } from './program.js';

await endProcess(await runProgram(process.argv.slice(2)));
