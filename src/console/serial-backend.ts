import type { Duplex } from 'node:stream';
import type { SerialSetting } from '../configure/serial-setting.js';
import { openFileTarget } from './serial-file.js';
import { SerialHub, type RecentBytes } from './serial-hub.js';
import { openUnixTarget } from './serial-socket.js';
import { openStdioTarget, type SerialTarget, type Stdio } from './serial-stdio.js';

/** The host's side of the guest's serial port. */
export interface SerialBackend {
  /** Takes the guest's serial port, both directions; again after a reset, when the guest has a new one. */
  attach(port: Duplex): void;
  /** A client of the console, both directions: sees the last 64 KiB, then what comes; detached when it closes. */
  addConsole(stream: Duplex): void;
  /** What who attaches now would see. */
  recentOutput(): RecentBytes;
  /** Output of the guest on the host that it comes from, before there is any here. */
  remember(bytes: Uint8Array): void;
  /** Writes out what is left, ends all clients, restores the terminal and removes the socket. Never fails. */
  close(): Promise<void>;
}

export interface SerialOptions {
  /** Ctrl-a x was typed at the terminal: the VM is to end. */
  onQuit?: () => void;
  /** In place of the process's own, for `stdio`. */
  stdio?: Stdio | undefined;
}

/** Opens what the setting names. Throws BAD_CONFIG or ADDRESS_IN_USE with nothing left behind. */
export async function openSerialBackend(setting: SerialSetting, options: SerialOptions = {}): Promise<SerialBackend> {
  const hub = new SerialHub();
  const target = await openTarget(setting, hub, options);
  return {
    attach(port) {
      hub.attach(port);
      target.attached?.();
    },
    addConsole: (stream) => hub.addConsole(stream),
    recentOutput: () => hub.recentOutput(),
    remember: (bytes) => hub.remember(bytes),
    async close() {
      hub.close();
      await target.close();
    },
  };
}

async function openTarget(setting: SerialSetting, hub: SerialHub, options: SerialOptions): Promise<SerialTarget> {
  switch (setting.kind) {
    case 'stdio':
      return openStdioTarget(hub, options.onQuit ?? (() => {}), options.stdio);
    case 'file':
      return openFileTarget(hub, setting.path);
    case 'unix':
      return openUnixTarget(hub, setting.path);
    case 'null':
      return { close: async () => {} };
  }
}
