/** One line on a terminal that is rewritten in place; nothing where standard error is no terminal. */
export interface LiveLine {
  show(text: string): void;
  /** Removes the line. */
  clear(): void;
}

export async function openLiveLine(wanted: boolean): Promise<LiveLine> {
  if (!wanted || process.stderr.isTTY !== true) return { show: () => {}, clear: () => {} };
  const { createLogUpdate } = await import('log-update');
  const update = createLogUpdate(process.stderr);
  return {
    show: (text) => update(text),
    clear: () => {
      update.clear();
      // Shows the cursor again.
      update.done();
    },
  };
}
