import { describeError, factsOf, PostcopyError, type Fact } from '../errors.js';
import { HTTP_STATUS, type ErrorBody } from './protocol.js';

export interface ErrorAnswer {
  status: number;
  body: ErrorBody;
}

/** What a client is told of anything thrown, by this project or by fastify (an error with a 4xx statusCode). */
export function errorAnswer(error: unknown): ErrorAnswer {
  if (error instanceof PostcopyError) {
    return { status: HTTP_STATUS[error.code], body: errorBody(error.code, describeError(error), factsOf(error)) };
  }
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return { status, body: errorBody('BAD_CONFIG', describeError(error)) };
  }
  return { status: HTTP_STATUS.INTERNAL, body: errorBody('INTERNAL', describeError(error)) };
}

export function errorBody(code: ErrorBody['error']['code'], message: string, facts: readonly Fact[] = []): ErrorBody {
  return { error: { code, message, ...(facts.length === 0 ? {} : { facts }) } };
}
