import { closeSync, openSync } from 'node:fs';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** As the addon's lockFile(), for one test process: a path that is in `taken` is locked. */
export class FakeLocks {
  readonly taken = new Set<string>();
  readonly opened: number[] = [];
  /** Called after the file was opened and before it is returned. */
  between: (path: string) => void = () => {};

  readonly lockFile = (path: string): number => {
    if (this.taken.has(path)) throw Object.assign(new Error('flock: taken'), { code: 'EWOULDBLOCK' });
    const fd = openSync(path, 'a', 0o600);
    this.opened.push(fd);
    this.between(path);
    return fd;
  };

  closeAll(): void {
    for (const fd of this.opened.splice(0)) {
      try {
        closeSync(fd);
      } catch {
        // Closed by the one who asked for it, as it should be.
      }
    }
  }
}

/** Leaves a socket file that nobody listens on, as a killed process does. */
export async function leaveDeadSocket(path: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  const child: ChildProcess = spawn(process.execPath, ['-e', script], { stdio: 'ignore' });
  await once(child, 'exit');
}
