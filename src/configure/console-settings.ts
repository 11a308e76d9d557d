import { PostcopyError } from '../errors.js';
import type { SerialSetting } from './serial-setting.js';

/** Where the guest's console ports go: ttyS0 and hvc0 in Linux. */
export interface ConsoleSettings {
  serial: SerialSetting;
  console: SerialSetting;
}

const NOWHERE: SerialSetting = { kind: 'null' };
const STDIO: SerialSetting = { kind: 'stdio' };

/**
 * Fills in what was not said: the serial port has the terminal, unless the virtio console was given it, or the process
 * is in the background and has none. Throws BAD_CONFIG.
 */
export function settleConsoles(
  given: { [port in keyof ConsoleSettings]?: ConsoleSettings[port] | undefined },
  background: boolean,
): ConsoleSettings {
  const console = given.console ?? NOWHERE;
  const serial = given.serial ?? (background || console.kind === 'stdio' ? NOWHERE : STDIO);
  if (background && [serial, console].some(({ kind }) => kind === 'stdio')) {
    const port = serial.kind === 'stdio' ? 'serial' : 'console';
    throw new PostcopyError(
      'BAD_CONFIG',
      `${port}: a process in the background has no terminal for stdio: give null, file:PATH or unix:PATH`,
      undefined,
      [{ kind: 'no-terminal', port }],
    );
  }
  if (serial.kind === 'stdio' && console.kind === 'stdio') {
    throw new PostcopyError('BAD_CONFIG', 'console: stdio is the serial port already: only one of them can have it');
  }
  return { serial, console };
}
