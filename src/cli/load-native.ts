import { describeError, PostcopyError } from '../errors.js';
import type { Native } from '../native.js';

/** The addon, loaded when a command needs it. Throws HOST_LACKS where it was not built for this host. */
export async function loadNative(): Promise<Native> {
  try {
    return (await import('../native.js')).native;
  } catch (error) {
    // node-gyp-build's message has several lines, the first of which says it.
    const why = new Error(describeError(error).split('\n')[0]);
    if (error instanceof Error && error.stack !== undefined) why.stack = error.stack;
    throw new PostcopyError('HOST_LACKS', 'the native addon cannot be loaded: run "npm rebuild postcopy"', why);
  }
}
