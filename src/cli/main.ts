#!/usr/bin/env node
import { endProcess } from './end-process.js';
import { outliveReaders } from './output.js';
import { runProgram } from './program.js';

outliveReaders();
await endProcess(await runProgram(process.argv.slice(2)));
