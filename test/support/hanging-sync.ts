/** Storage that stops answering: a library that has fdatasync(2) wait, in a process that loads it, while a file is there. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

export interface HangingSync {
  /** For the environment of the process. */
  readonly env: { LD_PRELOAD: string; HANGING_SYNC: string };
  /** From the next fdatasync(2) on, or after some that still end. */
  hang(after?: number): void;
  answer(): void;
}

/** Beside the file that has syncs wait: there from the first that waits on. */
export const WAITS = '.waits';

const SOURCE = `
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static atomic_int ended;
static int hangs(const char* path) {
  FILE* file = path ? fopen(path, "r") : NULL;
  if (!file) return 0;
  int after = 0;
  if (fscanf(file, "%d", &after) != 1) after = 0;
  fclose(file);
  return atomic_fetch_add(&ended, 1) >= after;
}
int fdatasync(int fd) {
  const char* path = getenv("HANGING_SYNC");
  if (hangs(path)) {
    char waits[4096];
    snprintf(waits, sizeof waits, "%s${WAITS}", path);
    close(open(waits, O_CREAT | O_WRONLY, 0600));
    while (access(path, F_OK) == 0) usleep(1000);
  }
  return syscall(SYS_fdatasync, fd);
}`;

export function buildHangingSync(): HangingSync {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-sync-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [library, flag] = [join(directory, 'sync.so'), join(directory, 'hangs')];
  execFileSync('cc', ['-shared', '-fPIC', '-x', 'c', '-o', library, '-'], { input: SOURCE });
  return {
    env: { LD_PRELOAD: library, HANGING_SYNC: flag },
    hang: (after = 0) => writeFileSync(flag, String(after)),
    answer: () => rmSync(flag),
  };
}
