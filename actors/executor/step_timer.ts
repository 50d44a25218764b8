/** Where the time of one step goes; it runs from its making on. */
export class StepTimer {
  readonly seconds: { -readonly [Part in keyof StepSeconds]: number } = {
    encode: 0,
    gpu: 0,
    read: 0,
  };
  #since = performance.now();

  /** The time until here counts for nothing: the step waited for its turn. */
  begin(): void {
    this.#since = performance.now();
  }

  /** The time until `at` was another step's. */
  notBefore(at: number): void {
    this.#since = Math.max(this.#since, at);
  }

  /** `part` has ended here, and the next one begins. */
  end(part: keyof StepSeconds): void {
    const now = performance.now();
    this.seconds[part] += (now - this.#since) / 1000;
    this.#since = now;
  }
}
import type { StepSeconds } from "./protocol.ts";
