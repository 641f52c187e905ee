/** The flights of later blocks that a reader has started ahead. It has joined each of them, so that none is cut. */
import type { Flight } from "./flight.ts";

export class FlightsAhead {
  #flights: Flight[] = [];

  join(flight: Flight): void {
    if (this.#flights.includes(flight)) return;
    flight.join();
    this.#flights.push(flight);
  }

  /** Leaves those of the chunks before `index`. */
  leaveBefore(index: number): void {
    const flights = this.#flights;
    this.#flights = flights.filter(({ key }) => key.index >= index);
    for (const flight of flights) if (flight.key.index < index) flight.leave();
  }
}
