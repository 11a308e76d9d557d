/**
 * Storage that stops answering: a library that has fdatasync(2), locks or dropping the cache wait, in a process that loads
 * it, while a file is there.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

interface Hanging {
  /** The file that has it wait. */
  readonly file: string;
  /** From the next call on, or after some that still end. */
  hang(after?: number): void;
  answer(): void;
}

export interface HangingStorage {
  /** For the environment of the process. */
  readonly env: { LD_PRELOAD: string; HANGING_STORAGE: string };
  /** fdatasync(2). */
  readonly sync: Hanging;
  /** fcntl(2), F_OFD_SETLK: taking a lock, or giving it up. */
  readonly lock: Hanging;
  /** posix_fadvise(2). */
  readonly cache: Hanging;
}

/** Beside the file that has calls wait: there from the first that waits on. */
export const WAITS = '.waits';

const SOURCE = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int hangs(const char* path, atomic_int* ended) {
  FILE* file = fopen(path, "r");
  if (!file) return 0;
  int after = 0;
  if (fscanf(file, "%d", &after) != 1) after = 0;
  fclose(file);
  return atomic_fetch_add(ended, 1) >= after;
}
static void wait_for(const char* what, atomic_int* ended) {
  char path[4000], waits[4096];
  snprintf(path, sizeof path, "%s/%s", getenv("HANGING_STORAGE"), what);
  if (!hangs(path, ended)) return;
  snprintf(waits, sizeof waits, "%s${WAITS}", path);
  close(open(waits, O_CREAT | O_WRONLY, 0600));
  while (access(path, F_OK) == 0) usleep(1000);
}
int fdatasync(int fd) {
  static atomic_int ended;
  wait_for("sync", &ended);
  return syscall(SYS_fdatasync, fd);
}
static int control(int fd, int command, void* argument) {
  static atomic_int ended;
  if (command == F_OFD_SETLK) wait_for("lock", &ended);
  return syscall(SYS_fcntl, fd, command, argument);
}
#define FCNTL(name) int name(int fd, int command, ...) { \\
  va_list list; va_start(list, command); void* argument = va_arg(list, void*); va_end(list); \\
  return control(fd, command, argument); }
FCNTL(fcntl)
FCNTL(fcntl64)
static int advise(int fd, off_t offset, off_t length, int advice) {
  static atomic_int ended;
  wait_for("cache", &ended);
  return syscall(SYS_fadvise64, fd, offset, length, advice) == 0 ? 0 : 5;
}
int posix_fadvise(int fd, off_t offset, off_t length, int advice) { return advise(fd, offset, length, advice); }
int posix_fadvise64(int fd, off_t offset, off_t length, int advice) { return advise(fd, offset, length, advice); }`;

export function buildHangingStorage(): HangingStorage {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-storage-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const library = join(directory, 'storage.so');
  execFileSync('cc', ['-shared', '-fPIC', '-x', 'c', '-o', library, '-'], { input: SOURCE });
  const hanging = (name: string): Hanging => {
    const file = join(directory, name);
    return { file, hang: (after = 0) => writeFileSync(file, String(after)), answer: () => rmSync(file) };
  };
  return {
    env: { LD_PRELOAD: library, HANGING_STORAGE: directory },
    sync: hanging('sync'),
    lock: hanging('lock'),
    cache: hanging('cache'),
  };
}
