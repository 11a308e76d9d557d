/**
 * The first code of a worker that is started from memory (worker-code.ts): makes modules of the text that it is given, and
 * runs the one that is its entry. It is itself run from text, so it imports nothing but Node.
 */
import { SourceTextModule, SyntheticModule, type Module } from 'node:vm';
import { workerData } from 'node:worker_threads';
import type { WorkerText } from './worker-code.js';

const { entry, modules } = workerData as WorkerText;
const made = new Map<string, Module>();

/** Node says once in each thread that these modules are experimental. */
async function withoutThatWarning(act: () => Promise<void>): Promise<void> {
  const { emitWarning } = process;
  process.emitWarning = ((...said: Parameters<typeof emitWarning>) => {
    if (!String(said[0]).startsWith('VM Modules')) emitWarning.apply(process, said);
  }) as typeof emitWarning;
  try {
    await act();
  } finally {
    process.emitWarning = emitWarning;
  }
}

async function moduleFor(specifier: string, from: string): Promise<Module> {
  const url = modules.get(from)?.imports[specifier] ?? specifier;
  const before = made.get(url);
  if (before !== undefined) return before;
  const module = url.startsWith('node:') ? await ofNode(url) : ofText(url);
  // Another importer may have been first while Node's was loaded.
  const first = made.get(url) ?? module;
  made.set(url, first);
  return first;
}

function ofText(url: string): Module {
  const found = modules.get(url);
  if (found === undefined) throw new Error(`${url} is not among the code of this worker`);
  const initializeImportMeta = (meta: ImportMeta): void => void (meta.url = url);
  return new SourceTextModule(found.text, { identifier: url, initializeImportMeta });
}

async function ofNode(url: string): Promise<Module> {
  const exported = (await import(url)) as Record<string, unknown>;
  const names = Object.keys(exported);
  return new SyntheticModule(
    names,
    function (this: SyntheticModule) {
      for (const name of names) this.setExport(name, exported[name]);
    },
    { identifier: url },
  );
}

await withoutThatWarning(async () => {
  const main = ofText(entry);
  made.set(entry, main);
  await main.link((specifier, { identifier }) => moduleFor(specifier, identifier));
  await main.evaluate();
});
