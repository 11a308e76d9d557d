import { StringDecoder } from 'node:string_decoder';
import { badAnswer } from './answers.js';

/** Longest line of NDJSON that is taken. */
const LINE_CHARACTERS_MAX = 1024 * 1024;

/** The JSON values of an NDJSON stream, one a line; a last line without its end is not one. Throws BAD_PEER. */
export async function* readJsonLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const bytes of stream) {
    const lines = (rest + decoder.write(Buffer.from(bytes))).split('\n');
    rest = lines.pop()!;
    if (rest.length > LINE_CHARACTERS_MAX) throw badAnswer('a line without end');
    for (const line of lines) yield parseLine(line);
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw badAnswer('a line that is not JSON');
  }
}
