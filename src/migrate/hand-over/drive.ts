/**
 * Drives one end of the hand-over: it takes events one at a time, has the pure machine of that end decide, and finishes
 * the actions of one event before it looks at the next.
 *
 *   push -> queue -> decide -> state, actions -> act -> the event that the last action leads to, which is looked at next
 *
 * An event that ends the hand-over does not wait for the action that is under way when it comes: that is told to stop by
 * its AbortSignal, and the machine gets the event at once, whether the action stops or not. An ending that must not overlap with it waits for
 * `settled`. An ending is carried out to its end, whatever part of it fails, and whatever comes behind it is dropped.
 */
import { EventQueue } from './event-queue.js';

export interface Step<State, Action> {
  state: State;
  actions: Action[];
}

/** What surrounds an action. */
export interface Turn {
  /** Aborted when the hand-over ends while the action is under way. */
  signal: AbortSignal;
  /** Resolves when the action that this ending has interrupted is over, if there is one; never rejects. */
  settled: Promise<void>;
}

/** One end of the hand-over. */
export interface End<State extends { phase: string }, Event, Action> {
  first: State;
  /** Pure: asked as soon as an event comes, to see whether it is an ending. */
  foresee(state: State, event: Event): Step<State, Action>;
  /** Asked when the event is looked at; it may find out before what other threads have done by then. */
  decide(state: State, event: Event): Step<State, Action> | Promise<Step<State, Action>>;
  isEnd(phase: State['phase']): boolean;
  /** Longest stay in a phase, milliseconds; phases that are not in it have no limit here. */
  deadlines: Partial<Record<State['phase'], number>>;
  /** What the event says when a phase was longer than that. */
  tooLate(phase: State['phase'], limitMs: number): Error;
  failure(reason: Error): Event;
  /** Resolves to the event that it leads to, if it leads to one. */
  act(action: Action, turn: Turn): Promise<Event | undefined>;
  /** The event of an action that ended well after all, but too late: what it carries is nobody's. */
  giveBack(event: Event): void | Promise<void>;
}

interface Outcome<Event> {
  event: Event | undefined;
  interrupted: boolean;
}

const NEVER = new AbortController().signal;

export class Drive<State extends { phase: string }, Event, Action> {
  readonly #end: End<State, Event, Action>;
  readonly #events = new EventQueue<Event>((event) => this.#handle(event));
  #state: State;
  #deadline: NodeJS.Timeout | undefined;
  /** Stops the action under way; none is stopped during an ending. */
  #underWay: AbortController | undefined;
  #settled: Promise<void> = Promise.resolve();

  constructor(end: End<State, Event, Action>) {
    this.#end = end;
    this.#state = end.first;
    this.#watch(end.first.phase);
  }

  get state(): State {
    return this.#state;
  }

  push(event: Event): void {
    const interrupts = this.#underWay !== undefined && this.#isEnding(event);
    this.#events.push(event);
    if (interrupts) this.#underWay?.abort();
  }

  #isEnding(event: Event): boolean {
    return this.#end.isEnd(this.#end.foresee(this.#state, event).state.phase);
  }

  async #handle(event: Event): Promise<void> {
    for (let next: Event | undefined = event; next !== undefined;) {
      if (this.#end.isEnd(this.#state.phase)) return;
      const decided = this.#decide(next);
      // Without a turn of the event loop in between where none is needed: a message behind this one may build on it.
      const step: Step<State, Action> = decided instanceof Promise ? await decided : decided;
      this.#enter(step.state);
      next = this.#end.isEnd(step.state.phase) ? await this.#finish(step.actions) : await this.#carryOut(step.actions);
    }
  }

  #decide(event: Event): Step<State, Action> | Promise<Step<State, Action>> {
    const failed = (error: unknown) => this.#end.foresee(this.#state, this.#end.failure(error as Error));
    try {
      const decided = this.#end.decide(this.#state, event);
      return decided instanceof Promise ? decided.catch(failed) : decided;
    } catch (error) {
      return failed(error);
    }
  }

  #enter(state: State): void {
    const { phase } = this.#state;
    this.#state = state;
    if (state.phase !== phase) this.#watch(state.phase);
  }

  #watch(phase: State['phase']): void {
    clearTimeout(this.#deadline);
    const limitMs = this.#end.deadlines[phase];
    if (limitMs === undefined) return;
    this.#deadline = setTimeout(() => this.push(this.#end.failure(this.#end.tooLate(phase, limitMs))), limitMs);
  }

  /** Stops at the first action that leads to an event, a failure for one, or is interrupted. */
  async #carryOut(actions: readonly Action[]): Promise<Event | undefined> {
    for (const action of actions) {
      const { event, interrupted } = await this.#interruptibly(action);
      if (event !== undefined || interrupted) return event;
    }
    return undefined;
  }

  async #finish(actions: readonly Action[]): Promise<undefined> {
    const turn = { signal: NEVER, settled: this.#settled };
    for (const action of actions) await this.#act(action, turn).catch(() => {});
  }

  /** Either the action's own end counts or the interruption, whichever is first. */
  #interruptibly(action: Action): Promise<Outcome<Event>> {
    const stop = new AbortController();
    this.#underWay = stop;
    const acting = this.#act(action, { signal: stop.signal, settled: this.#settled });
    return new Promise((resolve) => {
      const over = (event: Event | undefined) => {
        if (this.#underWay !== stop) return;
        this.#underWay = undefined;
        resolve({ event, interrupted: false });
      };
      acting.then(over, (error: unknown) => over(this.#end.failure(error as Error)));
      const interrupt = () => {
        this.#underWay = undefined;
        this.#settled = this.#givenBack(acting);
        resolve({ event: undefined, interrupted: true });
      };
      // The action itself may have told of the ending at once.
      if (stop.signal.aborted) interrupt();
      else stop.signal.addEventListener('abort', interrupt);
    });
  }

  async #givenBack(acting: Promise<Event | undefined>): Promise<void> {
    try {
      const event = await acting;
      if (event !== undefined) await this.#end.giveBack(event);
    } catch {
      // The hand-over has an ending already, which says why.
    }
  }

  /** What it throws at once is as what it rejects with. */
  async #act(action: Action, turn: Turn): Promise<Event | undefined> {
    return this.#end.act(action, turn);
  }
}
