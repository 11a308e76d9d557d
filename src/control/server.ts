import { fastify, type FastifyBaseLogger, type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Duplex } from 'node:stream';
import type { z } from 'zod';
import { describeProblems } from '../configure/vm-config.js';
import { PostcopyError } from '../errors.js';
import { errorAnswer, errorBody } from './answer-error.js';
import { answerUpgrade } from './console-upgrade.js';
import { answerMigrate } from './migrate-route.js';
import {
  CONSOLE_PATH,
  CONSOLE_PROTOCOL,
  LIMIT_PATH,
  MEASURE_PATH,
  MIGRATE_PATH,
  OPENAPI_PATH,
  PAUSE_PATH,
  RECOVER_PATH,
  RESUME_PATH,
  STOP_PATH,
  VM_PATH,
} from './protocol.js';
import {
  emptyRequestSchema,
  limitRequestSchema,
  measureRequestSchema,
  migrateRequestSchema,
  recoverRequestSchema,
  resumeRequestSchema,
  stopRequestSchema,
} from './requests.js';
import type {
  LimitRequest,
  MeasureRequest,
  MigrateRequest,
  RecoverRequest,
  ResumeRequest,
  StopRequest,
  VmService,
} from '../vm/service.js';

export interface ControlServer {
  /** Lets answers that are under way finish (for a short time), ends consoles, and removes the socket. */
  close(): Promise<void>;
}

export interface ControlServerOptions {
  /** Of NAME.sock; nothing may be there (claimName() sees to that). */
  path: string;
  /** The VM; undefined while it is still being built, and requests get WRONG_STATE. */
  service: () => VmService | undefined;
  logger?: FastifyBaseLogger;
}

/** An answer that a client does not read is given up when the process ends. */
const LAST_ANSWERS_MS = 2000;
const UPGRADE_REQUIRED = 426;
/** Nobody but the owner connects. */
const SOCKET_UMASK = 0o177;

export async function startControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const server = fastify({
    ...(options.logger === undefined ? {} : { loggerInstance: options.logger }),
    // 'idle': connections that wait for nothing are closed, answers under way go out.
    forceCloseConnections: 'idle',
  });
  const consoles = new Set<Duplex>();
  answerErrors(server);
  addRoutes(server, () => requireVm(options.service()));
  server.server.on('upgrade', (request, stream, early) => {
    consoles.add(stream);
    stream.once('close', () => consoles.delete(stream));
    answerUpgrade(request, stream, early, () => requireVm(options.service()));
  });
  await listen(server, options.path);
  return { close: () => closeServer(server, consoles) };
}

function addRoutes(server: FastifyInstance, vm: () => VmService): void {
  const empty = { schema: { body: emptyRequestSchema } };
  server.get(VM_PATH, () => vm().status());
  server.post(PAUSE_PATH, empty, async () => (await vm().pause(), {}));
  server.post(RESUME_PATH, { schema: { body: resumeRequestSchema } }, async (request) => {
    await vm().resume((request.body as ResumeRequest | null | undefined) ?? {});
    return {};
  });
  server.post(STOP_PATH, { schema: { body: stopRequestSchema } }, async (request) => {
    await vm().stop((request.body as StopRequest | null | undefined) ?? {});
    return {};
  });
  server.post(MIGRATE_PATH, { schema: { body: migrateRequestSchema } }, (request, reply) =>
    answerMigrate(vm(), request.body as MigrateRequest, reply),
  );
  server.post(LIMIT_PATH, { schema: { body: limitRequestSchema } }, async (request) => {
    await vm().limit(request.body as LimitRequest);
    return {};
  });
  server.post(MEASURE_PATH, { schema: { body: measureRequestSchema } }, (request) =>
    vm().measure((request.body as MeasureRequest | null | undefined) ?? {}),
  );
  server.post(RECOVER_PATH, { schema: { body: recoverRequestSchema } }, async (request) => {
    const { host, port } = (request.body as RecoverRequest | null | undefined) ?? {};
    await vm().recover(host === undefined || port === undefined ? undefined : { host, port });
    return {};
  });
  server.delete(MIGRATE_PATH, async () => (await vm().cancelMigration(), {}));
  // Loaded only here: it takes its time, and is asked for seldom.
  server.get(OPENAPI_PATH, async () => (await import('./openapi.js')).openApiDocument());
  server.get(CONSOLE_PATH, (_request, reply) =>
    reply
      .code(UPGRADE_REQUIRED)
      .header('upgrade', CONSOLE_PROTOCOL)
      .send(errorBody('BAD_CONFIG', `${CONSOLE_PATH} needs "Upgrade: ${CONSOLE_PROTOCOL}"`)),
  );
}

function answerErrors(server: FastifyInstance): void {
  server.setValidatorCompiler<z.ZodType>(({ schema }) => (data: unknown) => {
    const result = schema.safeParse(data);
    if (result.success) return { value: result.data };
    return { error: new PostcopyError('BAD_CONFIG', describeProblems(result.error).join('; ')) };
  });
  server.setErrorHandler((error, _request, reply) => {
    const { status, body } = errorAnswer(error);
    return reply.code(status).send(body);
  });
  server.setNotFoundHandler((request: FastifyRequest, reply) =>
    reply.code(404).send(errorBody('BAD_CONFIG', `this VM has no ${request.method} ${request.url}`)),
  );
}

function requireVm(service: VmService | undefined): VmService {
  if (service === undefined) throw new PostcopyError('WRONG_STATE', 'the VM is still starting: try again in a moment');
  return service;
}

async function listen(server: FastifyInstance, path: string): Promise<void> {
  await server.ready();
  const before = process.umask(SOCKET_UMASK);
  try {
    await server.listen({ path });
  } catch (error) {
    throw new PostcopyError('HOST_LACKS', `cannot listen on the control socket ${path}`, error);
  } finally {
    process.umask(before);
  }
}

async function closeServer(server: FastifyInstance, consoles: Set<Duplex>): Promise<void> {
  // Upgraded connections are not the HTTP server's to end. Those that the serial backend has ended send their last.
  const endConsoles = (which: (console: Duplex) => boolean) =>
    [...consoles].filter(which).forEach((it) => it.destroy());
  endConsoles((console) => !console.writableEnded);
  const giveUp = setTimeout(() => {
    server.server.closeAllConnections();
    endConsoles(() => true);
  }, LAST_ANSWERS_MS);
  await server.close();
  clearTimeout(giveUp);
}
