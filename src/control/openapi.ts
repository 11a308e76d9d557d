/**
 * The control API as an OpenAPI document, made from the schemas that check its requests. openapi.json holds it: `npm run
 * schema` after each change.
 */
import { z } from 'zod';
import type { ErrorCode } from '../errors.js';
import {
  errorSchema,
  measureSchema,
  migrateLineSchema,
  progressSchema,
  statusSchema,
  summarySchema,
} from './answer-schemas.js';
import {
  CONSOLE_PATH,
  CONSOLE_PROTOCOL,
  HTTP_STATUS,
  LIMIT_PATH,
  MEASURE_PATH,
  MIGRATE_PATH,
  NDJSON,
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
import { CONSOLE_PORTS } from '../console/console-port.js';

const SCHEMAS = {
  Nothing: emptyRequestSchema,
  ResumeRequest: resumeRequestSchema,
  LimitRequest: limitRequestSchema,
  MeasureRequest: measureRequestSchema,
  WriteMeasure: measureSchema,
  RecoverRequest: recoverRequestSchema,
  StopRequest: stopRequestSchema,
  MigrateRequest: migrateRequestSchema,
  VmStatus: statusSchema,
  MigrationProgress: progressSchema,
  MigrationSummary: summarySchema,
  MigrateLine: migrateLineSchema,
  Error: errorSchema,
};

type SchemaName = keyof typeof SCHEMAS;

const JSON_TYPE = 'application/json';
const EMPTY_OBJECT = { [JSON_TYPE]: { schema: { type: 'object', maxProperties: 0 } } };
/** A request may come before the VM is built, and anything may break. */
const ALWAYS: ErrorCode[] = ['WRONG_STATE', 'INTERNAL'];

interface Operation {
  operationId: string;
  summary: string;
  body?: SchemaName;
  bodyRequired?: boolean;
  parameters?: object[];
  /** Of success, by status. */
  answers: Record<string, object>;
  /** Answered whatever the VM is doing. */
  withoutVm?: boolean;
  /** Beyond what any request can get. */
  errors?: ErrorCode[];
  otherErrors?: Record<string, object>;
}

export function openApiDocument(): object {
  return {
    openapi: '3.1.1',
    info: {
      title: 'postcopy control API',
      version: '1',
      description:
        'HTTP/1.1 over the Unix socket of a VM, /run/postcopy/NAME.sock. Within a version, fields may be added: ignore those that you do not know.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://localhost', description: 'The host part is only a form: connect to the Unix socket.' }],
    paths: paths(),
    components: { schemas: componentSchemas() },
  };
}

function paths(): object {
  return {
    [VM_PATH]: {
      get: operation({
        operationId: 'getStatus',
        summary: 'What the VM is doing',
        answers: { 200: answer('The status', JSON_TYPE, 'VmStatus') },
      }),
    },
    [PAUSE_PATH]: {
      post: operation({
        operationId: 'pause',
        summary: 'Stops the vCPUs; answered when they stand still',
        body: 'Nothing',
        answers: { 200: done() },
      }),
    },
    [RESUME_PATH]: {
      post: operation({
        operationId: 'resume',
        summary:
          'Lets a paused VM go on; with `force` one whose hand-over broke as well: the caller answers for it that the other host has not run it',
        body: 'ResumeRequest',
        answers: { 200: done() },
        errors: ['DISK_IN_USE'],
      }),
    },
    [STOP_PATH]: {
      post: operation({
        operationId: 'stop',
        summary: 'Presses the power button and waits until the VM has ended; with `force` its power is cut',
        body: 'StopRequest',
        answers: { 200: done() },
        errors: ['NO_REACTION', 'GUEST_FAILED'],
      }),
    },
    [MIGRATE_PATH]: {
      post: operation({
        operationId: 'migrate',
        summary: 'Moves the VM to a host where one is waited for; it goes on if the client goes away',
        body: 'MigrateRequest',
        bodyRequired: true,
        answers: {
          200: answer('A stream of lines, each a JSON value of this schema (NDJSON)', NDJSON, 'MigrateLine'),
        },
        errors: ['HOST_LACKS'],
      }),
      delete: operation({
        operationId: 'cancelMigration',
        summary: 'Ends a migration that has not handed the VM over; answered when the guest goes on here',
        answers: { 200: done() },
      }),
    },
    [LIMIT_PATH]: {
      post: operation({
        operationId: 'limit',
        summary: 'Changes how fast a migration may send; pages that the guest waits for are not held back',
        body: 'LimitRequest',
        bodyRequired: true,
        answers: { 200: done() },
      }),
    },
    [MEASURE_PATH]: {
      post: operation({
        operationId: 'measure',
        summary:
          'Tells how many pages the guest writes within times of several lengths; each of them costs it a fault once',
        body: 'MeasureRequest',
        answers: { 200: answer('What was measured', JSON_TYPE, 'WriteMeasure') },
        errors: ['HOST_LACKS'],
      }),
    },
    [RECOVER_PATH]: {
      post: operation({
        operationId: 'recover',
        summary: 'Has a migration whose link is broken look for the destination at once, also at another address',
        body: 'RecoverRequest',
        answers: { 200: done() },
      }),
    },
    [CONSOLE_PATH]: { get: operation(CONSOLE) },
    [OPENAPI_PATH]: {
      get: operation({
        operationId: 'getOpenApi',
        summary: 'This document',
        withoutVm: true,
        answers: { 200: { description: 'OpenAPI 3.1', content: { [JSON_TYPE]: { schema: { type: 'object' } } } } },
      }),
    },
  };
}

const CONSOLE: Operation = {
  operationId: 'console',
  summary: 'Turns the connection into a console of the guest, both directions',
  parameters: [
    {
      name: 'port',
      in: 'query',
      description: 'serial: ttyS0; virtio: hvc0',
      schema: { type: 'string', enum: CONSOLE_PORTS, default: 'serial' },
    },
    { name: 'Upgrade', in: 'header', required: true, schema: { const: CONSOLE_PROTOCOL } },
    { name: 'Connection', in: 'header', required: true, schema: { const: 'Upgrade' } },
  ],
  answers: {
    101: {
      description: 'After the empty line the connection is the console: raw bytes. It begins with the recent output.',
      headers: { Upgrade: { schema: { const: CONSOLE_PROTOCOL } } },
    },
  },
  errors: ['BAD_CONFIG'],
  otherErrors: { 426: errorAnswer('The request has no Upgrade', ['BAD_CONFIG']) },
};

function operation({ operationId, summary, parameters, body, ...rest }: Operation): object {
  const { bodyRequired = false, withoutVm = false, answers, errors = [], otherErrors = {} } = rest;
  const codes: ErrorCode[] = [
    ...(withoutVm ? [] : ALWAYS),
    ...errors,
    ...(body === undefined ? [] : (['BAD_CONFIG'] as const)),
  ];
  const noJson = body === undefined ? {} : { 415: errorAnswer('The body is not JSON', ['BAD_CONFIG']) };
  return {
    operationId,
    summary,
    ...(parameters === undefined ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: bodyRequired, content: { [JSON_TYPE]: { schema: refTo(body) } } } }),
    responses: {
      ...answers,
      ...errorAnswers(codes),
      ...noJson,
      ...otherErrors,
      default: errorAnswer('Anything else that failed'),
    },
  };
}

function errorAnswers(codes: ErrorCode[]): Record<string, object> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    byStatus.set(HTTP_STATUS[code], [...(byStatus.get(HTTP_STATUS[code]) ?? []), code]);
  }
  return Object.fromEntries([...byStatus].map(([status, which]) => [status, errorAnswer(which.join(' or '), which)]));
}

function errorAnswer(description: string, codes?: ErrorCode[]): object {
  return { ...answer(description, JSON_TYPE, 'Error'), ...(codes === undefined ? {} : { 'x-error-codes': codes }) };
}

function answer(description: string, type: string, schema: SchemaName): object {
  return { description, content: { [type]: { schema: refTo(schema) } } };
}

function done(): object {
  return { description: 'Done', content: EMPTY_OBJECT };
}

function refTo(name: string): { $ref: string } {
  return { $ref: `#/components/schemas/${name}` };
}

function componentSchemas(): Record<string, object> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(SCHEMAS)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io: 'input', uri: (id) => refTo(id).$ref });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema: _dialect, $id: _id, ...schema }]) => [name, schema]),
  );
}
