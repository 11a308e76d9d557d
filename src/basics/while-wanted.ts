/** What a promise brings, or the reason of the abort if that is first; what the promise brings after it is nobody's. */
export async function whileWanted<Value>(signal: AbortSignal, promise: Promise<Value>): Promise<Value> {
  promise.catch(() => {}); // also where nobody waits for it
  signal.throwIfAborted();
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => (abort = () => reject(signal.reason as Error)));
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
