/** Where the time goes while the guest stands still: laps from the last vCPU parked here to the first one running there. */
const PARTS = ['stop', 'save', 'map', 'transfer', 'load', 'commit', 'start'];
export class DowntimeLaps {
    #micros = new Map();
    #last = 0;
    /** `now`, here and below: monotonicMicros(). */
    begin(now) {
        this.#micros.clear();
        this.#last = now;
    }
    /** What has passed since the last lap was this. */
    lap(part, now) {
        this.add(part, now - this.#last);
        this.#last = now;
    }
    add(part, micros) {
        this.#micros.set(part, (this.#micros.get(part) ?? 0) + micros);
    }
    /** The other end says how much of `from` was `to`. */
    split(from, to, micros) {
        const moved = Math.min(micros, this.#micros.get(from) ?? 0);
        this.add(from, -moved);
        this.add(to, moved);
    }
    get milliseconds() {
        return Object.fromEntries(PARTS.map((part) => [part, (this.#micros.get(part) ?? 0) / 1000]));
    }
    get totalMs() {
        return [...this.#micros.values()].reduce((sum, micros) => sum + micros, 0) / 1000;
    }
}
