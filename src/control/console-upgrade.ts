import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { PostcopyError } from '../errors.js';
import { errorAnswer, type ErrorAnswer } from './answer-error.js';
import { CONSOLE_PATH, CONSOLE_PROTOCOL } from './protocol.js';
import { type VmService } from '../vm/service.js';
import { CONSOLE_PORTS, type ConsolePort } from '../console/console-port.js';

/** Turns an upgrade request into a console connection, or refuses it with an ordinary answer. */
export function answerUpgrade(request: IncomingMessage, stream: Duplex, early: Buffer, service: () => VmService): void {
  stream.on('error', () => stream.destroy());
  try {
    const port = portOf(request);
    const vm = service();
    if (early.length > 0) stream.unshift(early);
    stream.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${CONSOLE_PROTOCOL}\r\n\r\n`);
    vm.attachConsole(stream, port);
  } catch (error) {
    refuse(stream, errorAnswer(error));
  }
}

function portOf(request: IncomingMessage): ConsolePort {
  const [path, query = ''] = (request.url ?? '').split('?', 2);
  if (request.method !== 'GET' || path !== CONSOLE_PATH) {
    throw new PostcopyError('BAD_CONFIG', `${request.method} ${request.url} cannot be upgraded`);
  }
  if (request.headers.upgrade?.toLowerCase() !== CONSOLE_PROTOCOL) {
    throw new PostcopyError('BAD_CONFIG', `${CONSOLE_PATH} upgrades to ${CONSOLE_PROTOCOL} only`);
  }
  const wish = new URLSearchParams(query).get('port') ?? 'serial';
  const port = CONSOLE_PORTS.find((name) => name === wish);
  if (port === undefined) {
    throw new PostcopyError('BAD_CONFIG', `the guest has no console '${wish}': port is ${CONSOLE_PORTS.join(' or ')}`);
  }
  return port;
}

function refuse(stream: Duplex, { status, body }: ErrorAnswer): void {
  const text = JSON.stringify(body);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(text)}`,
  ];
  stream.end(`${head.join('\r\n')}\r\n\r\n${text}`, () => stream.destroy());
}
