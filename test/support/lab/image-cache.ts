import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fingerprint, type Input } from './fingerprint.js';
import { labFolder } from './paths.js';

/** A file, or a folder of files, that is made from others, and made again only when they changed. */
export interface Recipe {
  name: string;
  /** Part of the file's identity: settings that are in no input file. */
  settings?: string;
  inputs: readonly Input[];
  /** Makes the file or folder at `target`; `scratch` is an empty folder to work in. */
  make(target: string, scratch: string): Promise<void>;
}

const KEPT_VERSIONS = 3;

function dropOldVersions(folder: string, name: string): void {
  const versions = readdirSync(folder).filter((file) => file.startsWith(`${name}-`));
  const byAge = versions.map((file) => join(folder, file)).sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const old of byAge.slice(KEPT_VERSIONS)) rmSync(old, { recursive: true, force: true });
}

/** The recipe's file or folder, made now or before. Safe when several processes ask at once: the last rename wins. */
export async function cachedImage(recipe: Recipe): Promise<string> {
  const folder = labFolder('images');
  const path = join(folder, `${recipe.name}-${fingerprint(recipe.settings ?? '', recipe.inputs)}`);
  if (existsSync(path)) {
    utimesSync(path, new Date(), new Date());
    return path;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'postcopy-lab-'));
  const unfinished = join(folder, `unfinished-${recipe.name}-${process.pid}`);
  try {
    await recipe.make(unfinished, scratch);
    renameSync(unfinished, path);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    rmSync(unfinished, { recursive: true, force: true });
  }
  dropOldVersions(folder, recipe.name);
  return path;
}
