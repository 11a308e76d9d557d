/**
 * What only measures or tells must not end what is essential: it is called through this, and its failure is a warning of
 * the process, once for each such thing.
 */
const warned = new Set<string>();

/** `what`: how the warning names it. A callback may be asynchronous. */
export function harmlessly(what: string, act: () => unknown): void {
  try {
    const result = act();
    if (result instanceof Promise) result.catch((error: unknown) => warn(what, error));
  } catch (error) {
    warn(what, error);
  }
}

function warn(what: string, error: unknown): void {
  if (warned.has(what)) return;
  warned.add(what);
  process.emitWarning(`${what} failed, and was left out: ${String(error)}`, 'PostcopyWarning');
}
