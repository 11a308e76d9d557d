/**
 * What crosses between the main thread and a worker. A worker is given one job, and may be told more behind it; whatever
 * it tells is a tagged message. Each kind of worker has a file with its own (source/job.ts, destination/job.ts,
 * accepted-channel.ts, device-messages.ts); here is what all of them tell.
 */
import type { ErrorCode } from '../errors.js';

export interface Tagged {
  type: string;
}

/** Its code is loaded: the first message of every worker. */
interface Ready {
  type: 'ready';
}

export interface Failure {
  type: 'failed';
  code: ErrorCode;
  message: string;
}

export type FromWorker<News extends Tagged> = News | Ready | Failure;

export function isFailure(message: Tagged): message is Failure {
  return message.type === 'failed';
}

/** In a worker: tells the main thread something. */
export type Tell<News extends Tagged> = (news: News) => void;
