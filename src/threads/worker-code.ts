/**
 * The code of workers, in memory from the start of the process on: a package that is upgraded on disk while a VM runs must
 * not give its new code to a worker that is started later, at a reset of the guest or for a migration, beside the main
 * thread and the addon of before.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

export interface ModuleText {
  text: string;
  /** URLs by the specifiers that it imports; a module of Node's own has none. */
  imports: Record<string, string>;
}

/** What memory-loader.ts is given. */
export interface WorkerText {
  entry: string;
  modules: Map<string, ModuleText>;
}

/** Static imports, as TypeScript and the packages that workers import write them. */
const IMPORTS = /(?:^|[\n;}])\s*(?:import|export)\s*(?:[\w*{}\s,$]+?\s*from\s*)?["']([^"']+)["']/g;

/** All that have been read. */
const known = new Map<string, ModuleText>();

export class WorkerCode {
  readonly #entry: string;
  #loader = '';
  #modules = new Map<string, ModuleText>();
  /** Why the code could not be read. */
  #problem: unknown;

  /** Reads it all: when the module that starts such workers is loaded. */
  constructor(entry: URL) {
    this.#entry = entry.href;
    try {
      this.#loader = read(new URL('./memory-loader.js', import.meta.url).href);
      gather(this.#entry, this.#modules);
    } catch (error) {
      this.#problem = error;
    }
  }

  /** Throws what reading it threw. */
  start(): Worker {
    if (this.#problem !== undefined) throw this.#problem as Error;
    const data: WorkerText = { entry: this.#entry, modules: this.#modules };
    // The modules of text are V8's own, behind this flag.
    const execArgv = ['--experimental-vm-modules'];
    const loader = new URL(`data:text/javascript,${encodeURIComponent(this.#loader)}`);
    return new Worker(loader, { workerData: data, execArgv });
  }
}

function gather(url: string, into: Map<string, ModuleText>): void {
  if (into.has(url)) return;
  const found = moduleAt(url);
  into.set(url, found);
  for (const imported of Object.values(found.imports)) gather(imported, into);
}

function moduleAt(url: string): ModuleText {
  let found = known.get(url);
  if (found === undefined) known.set(url, (found = textAndImports(url)));
  return found;
}

function textAndImports(url: string): ModuleText {
  const text = read(url);
  const imports: Record<string, string> = {};
  for (const [, specifier = ''] of text.matchAll(IMPORTS)) {
    if (!specifier.startsWith('node:')) imports[specifier] = resolve(specifier, url);
  }
  return { text, imports };
}

/** Packages are imported by our own modules only. */
function resolve(specifier: string, from: string): string {
  return /^\.\.?\//.test(specifier) ? new URL(specifier, from).href : import.meta.resolve(specifier);
}

function read(url: string): string {
  return readFileSync(fileURLToPath(url), 'utf8');
}
