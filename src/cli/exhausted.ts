/**
 * A resource of the host that has run out (descriptors, threads, memory, space, inodes), wherever that was noticed: what
 * it is and who can raise it, in place of an internal error.
 */
import { describeError, PostcopyError } from '../errors.js';

const SHORT: Record<string, string> = {
  EMFILE: 'this process may open no more files: raise its limit (ulimit -n; LimitNOFILE= of a unit)',
  ENFILE: 'this host can open no more files: raise it (sysctl fs.file-max)',
  ENOSPC: 'a file system of this host is full, or has no inodes left: see df, and df -i',
  EDQUOT: "this user's share of a file system of this host is used up: see quota",
  ENOMEM: 'this host gives this process no more memory: see free, ulimit -v and the memory.max of its cgroup',
  EAGAIN: 'this host lets this process start no more threads: see ulimit -u and the pids.max of its cgroup',
};

/** EAGAIN has other meanings elsewhere. */
const STARTS: ReadonlySet<string> = new Set(['pthread_create', 'spawn', 'uv_thread_create']);

interface SystemError extends Error {
  code?: string;
  syscall?: string;
}

/** The error as it is to be told: HOST_LACKS if nothing but a resource was missing. */
export function namingExhausted(error: unknown): unknown {
  if (error instanceof PostcopyError && error.code !== 'INTERNAL') return error;
  const code = exhausted(error);
  return code === undefined ? error : new PostcopyError('HOST_LACKS', SHORT[code]!, error);
}

function exhausted(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code = '', syscall = '' } = error as SystemError;
  // A worker whose thread or event loop could not be made has the errno in its message only.
  if (code === 'ERR_WORKER_INIT_FAILED') return /\b(EMFILE|ENFILE|ENOMEM|EAGAIN)\b/.exec(describeError(error))?.[0];
  if (code in SHORT && (code !== 'EAGAIN' || STARTS.has(syscall.split(' ')[0]!))) return code;
  return exhausted(error.cause);
}
