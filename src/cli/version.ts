import { readFileSync } from 'node:fs';

/** The package's version; package.json is two up from dist/cli/ and from src/cli/. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(text) as { version: unknown }).version);
}
