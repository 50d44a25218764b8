import { stepId } from "../../memory/ids.ts";
import type { Command, Row, Stepped, SteppedRow } from "../executor/protocol.ts";
import type { SequenceState } from "./sequence_state.ts";

interface Flight {
  readonly step: number;
  readonly rows: readonly { readonly state: SequenceState; readonly row: Row }[];
}

export interface Landed {
  readonly state: SequenceState;
  readonly row: Row;
  readonly result: SteppedRow;
}

/** Steps sent and not yet answered; the executor answers in order. */
export class Flights {
  readonly #flights: Flight[] = [];
  #formed = 0;

  get count(): number {
    return this.#flights.length;
  }

  /** Numbers a step of these rows and remembers whose they are. */
  depart(rows: Flight["rows"]): Extract<Command, { kind: "step" }> {
    const step = stepId(++this.#formed);
    this.#flights.push({ step, rows });
    return { kind: "step", step, rows: rows.map(({ row }) => row) };
  }

  /** @throws {Error} unless the answer is the oldest flight's, with a result for every row. */
  land({ step, rows }: Stepped): Landed[] {
    const flight = this.#flights.shift();
    if (flight?.step !== step) {
      throw new Error(`Cannot read step: ${flight?.step} is the oldest, received ${step}`);
    }
    const results = new Map(rows.map((result) => [result.slot, result]));
    return flight.rows.map(({ state, row }) => {
      const result = results.get(row.slot);
      if (!result) throw new Error(`Cannot read step ${step}: no result for slot ${row.slot}`);
      return { state, row, result };
    });
  }

  /** The sequences named, once for each flight. */
  *states(): Iterable<SequenceState> {
    for (const { rows } of this.#flights) yield* rows.map(({ state }) => state);
  }
}
