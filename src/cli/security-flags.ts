/** Flags that say how a migration is secured: the same at both ends (configure/security.ts). */
import { Option, type Command } from 'commander';
import { readKeyFile, readTlsDirectory } from '../configure/security-files.js';
import type { GivenSecurity } from '../configure/security.js';

export interface SecurityFlags {
  plain?: boolean;
  key?: string;
  keyFile?: string;
  tlsDir?: string;
}

/** `keyHelp`: what --key is at this end. */
export function withSecurityFlags(command: Command, keyHelp: string): Command {
  return command
    .addOption(new Option('--key <key>', keyHelp).conflicts(['keyFile', 'tlsDir', 'plain']))
    .addOption(new Option('--key-file <file>', 'a file that holds the key').conflicts(['tlsDir', 'plain']))
    .addOption(
      new Option('--tls-dir <dir>', 'mutual TLS with ca.pem, cert.pem and key.pem of this directory').conflicts(
        'plain',
      ),
    )
    .addOption(new Option('--plain', 'unencrypted, to and from anybody; both ends have to say it'));
}

/** Files are read here: the process of a VM need not be able to. Throws BAD_CONFIG. */
export function givenSecurity({ plain, key, keyFile, tlsDir }: SecurityFlags): GivenSecurity {
  if (keyFile !== undefined) return { key: readKeyFile(keyFile) };
  if (tlsDir !== undefined) return { tls: readTlsDirectory(tlsDir) };
  return { ...(plain === undefined ? {} : { plain }), ...(key === undefined ? {} : { key }) };
}
