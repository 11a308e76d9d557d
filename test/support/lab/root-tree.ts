import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runHere } from './commands.js';

export const BUSYBOX = '/bin/busybox';
const EXECUTABLE = 0o755;

/** A file system tree under construction in a folder of this machine. */
export class RootTree {
  constructor(readonly root: string) {}

  /** The place here of what will be at `path` there, its folder made. */
  place(path: string): string {
    const place = join(this.root, path);
    mkdirSync(dirname(place), { recursive: true });
    return place;
  }

  folder(...paths: string[]): void {
    for (const path of paths) mkdirSync(join(this.root, path), { recursive: true });
  }

  file(source: string, path: string): void {
    copyFileSync(source, this.place(path));
  }

  executable(source: string, path: string): void {
    this.file(source, path);
    chmodSync(join(this.root, path), EXECUTABLE);
  }

  script(path: string, text: string): void {
    writeFileSync(this.place(path), text, { mode: EXECUTABLE });
  }

  text(path: string, text: string): void {
    writeFileSync(this.place(path), text);
  }

  /** A static program of the sources in `folder`. */
  async program(folder: string, sources: string[], path: string): Promise<void> {
    await runHere('gcc', ['-static', '-O2', '-s', '-Wall', '-o', this.place(path), ...sources], { cwd: folder });
  }

  /** busybox, and every name that it answers to and that `taken` does not claim. */
  async busybox(taken: readonly string[] = []): Promise<void> {
    this.executable(BUSYBOX, 'bin/busybox');
    const names = (await runHere(BUSYBOX, ['--list'])).split('\n').filter(Boolean);
    for (const name of names)
      if (name !== 'busybox' && !taken.includes(name)) symlinkSync('busybox', this.place(`bin/${name}`));
  }
}
