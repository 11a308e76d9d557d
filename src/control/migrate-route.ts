import { PassThrough } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { errorAnswer } from './answer-error.js';
import { NDJSON } from './protocol.js';
import type { MigrateRequest, VmService } from '../vm/service.js';
import type { MigrationProgress } from '../migrate/report/summary.js';

/** A client that does not read misses progress, never the result. */
const PROGRESS_BACKLOG_BYTES = 64 * 1024;

/**
 * Starts the migration and streams its progress. What fails before the first line is an ordinary error answer. A client
 * that goes away changes nothing: the migration goes on.
 */
export async function answerMigrate(
  service: VmService,
  request: MigrateRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const lines = new PassThrough();
  lines.on('error', () => {});
  let begun: (() => void) | undefined;
  const firstLine = new Promise<void>((resolve) => (begun = resolve));

  const onProgress = (progress: MigrationProgress) => {
    if (lines.writable && lines.writableLength < PROGRESS_BACKLOG_BYTES) lines.write(line(progress));
    begun?.();
  };
  const migration = service.migrate(request, onProgress);
  await Promise.race([firstLine, migration]);

  void migration.then(
    (summary) => lines.end(line({ summary })),
    (error: unknown) => lines.end(line(errorAnswer(error).body)),
  );
  return reply.type(NDJSON).send(lines);
}

function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
