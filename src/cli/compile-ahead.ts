/**
 * Has V8 compile every function when its module is loaded, and keep what it has compiled. Otherwise it compiles a
 * function when it is first called, and again after some garbage collections: in a hand-over, where most are called for
 * the first time, that is a third of the downtime. For modules that are loaded from now on, in all threads; they take
 * some milliseconds longer to load.
 */
import { setFlagsFromString } from 'node:v8';
import { REHEARSES } from '../threads/rehearses.js';

export function compileAhead(): void {
  if (!REHEARSES) return;
  setFlagsFromString('--no-lazy');
  setFlagsFromString('--no-flush-bytecode');
}
