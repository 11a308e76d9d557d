import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { within } from './deadline.js';
import { qemuArguments, socketPaths, type HostFiles, type HostOptions } from './qemu-arguments.js';

const CONNECT_LIMIT_MS = 20_000;
const END_LIMIT_MS = 10_000;
const CONSOLE_TAIL = 3000;

const running = new Set<ChildProcess>();
// Not the only guard: setpriv below has the kernel do it when this process is killed.
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** QEMU, which ends when this process does. */
function spawnQemu(command: readonly string[]): ChildProcessByStdio<null, null, Readable> {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], { stdio: ['ignore', 'ignore', 'pipe'] });
  running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

/** QEMU with one virtual host, joined to this process by two sockets. */
export interface QemuProcess {
  agent: Socket;
  qmp: Socket;
  /** Kills it at once; resolves when it is gone. */
  kill(): Promise<void>;
  /** For error messages: how it ended, if it did, and the end of the host's console. */
  describe(): string;
}

// This side listens and QEMU connects as it starts: nothing to wait for or to try again.
async function listen(path: string): Promise<Server> {
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  return server;
}

async function accept(server: Server): Promise<Socket> {
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  return socket;
}

function consoleTail(path: string): string {
  try {
    return readFileSync(path, 'utf8').slice(-CONSOLE_TAIL).trim() || '(empty)';
  } catch {
    return '(none)';
  }
}

export async function startQemu(options: HostOptions, files: HostFiles): Promise<QemuProcess> {
  const servers = await Promise.all([
    listen(socketPaths.agent(files.sockets, options.number)),
    listen(socketPaths.qmp(files.sockets, options.number)),
  ]);
  const child = spawnQemu([...files.network.launcher, ...files.emulator, ...qemuArguments(options, files)]);
  let messages = '';
  child.stderr.on('data', (text: Buffer) => (messages = (messages + text.toString()).slice(-CONSOLE_TAIL)));
  const ended = once(child, 'close');
  const describe = (): string => {
    const end = child.exitCode ?? child.signalCode;
    const state = end === null ? 'QEMU runs' : `QEMU ended with ${end}`;
    return `${state}; ${messages.trim()}\nconsole of host${options.number} (${files.consoleLog}):\n${consoleTail(files.consoleLog)}`;
  };
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    servers.forEach((server) => server.close());
    await within(END_LIMIT_MS, ended, () => `QEMU ${child.pid} does not end`);
  };
  try {
    const failed = ended.then((): never => {
      throw new Error(`QEMU does not start: ${describe()}`);
    });
    const connected = Promise.all([accept(servers[0]), accept(servers[1])]);
    const [agent, qmp] = await within(CONNECT_LIMIT_MS, Promise.race([connected, failed]), describe);
    failed.catch(() => {}); // its later end is for the agent channel to tell
    return { agent, qmp, kill, describe };
  } catch (error) {
    await kill().catch(() => {});
    throw error;
  }
}
