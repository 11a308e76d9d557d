/** Answers what a source tries a page channel with, which comes before anything else does on it (source/channel-trial.ts). */
import { PostcopyError } from '../../../errors.js';
import type { Socket } from '../../../native.js';
import type { GoSignal } from '../../../threads/go-signal.js';
import { TriedOutbox } from '../../wire/page-outbox.js';
import { TRIALS_MAX } from '../../wire/protocol.js';

export class TrialAnswers {
  #outbox: TriedOutbox | undefined;
  #answered = 0;

  constructor(
    readonly socket: Socket,
    readonly signal: Pick<GoSignal, 'handedOver'>,
  ) {}

  /** Throws BAD_PEER where a trial must not come: behind the hand-over, or without an end. */
  answer(pages: number): void {
    if (this.signal.handedOver || this.#answered++ >= TRIALS_MAX) {
      throw new PostcopyError('BAD_PEER', 'the source tries a channel that it has tried before');
    }
    this.#outbox ??= new TriedOutbox(this.socket);
    this.#outbox.send(pages);
  }
}
