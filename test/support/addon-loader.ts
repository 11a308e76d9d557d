/** The start of plain JavaScript for other threads and processes: loads the addon, as `native`, as src/native.ts does. */
import { createRequire } from 'node:module';
import { packageRoot } from '../../src/native.js';

const LOADER = JSON.stringify(createRequire(import.meta.url).resolve('node-gyp-build'));
export const LOAD_ADDON = `const native = require(${LOADER})(${JSON.stringify(packageRoot)});\n`;
