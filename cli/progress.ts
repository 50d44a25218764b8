import cliProgress from "cli-progress";

/** Shows how far start-up is: a bar on a terminal, a line every tenth otherwise. */
export interface Progress {
  update(label: string, done: number, total: number, unit: string): void;
  /** Ends the bar of a stage that was cut short. */
  stop(): void;
}

export function createProgress(
  terminal: boolean = Deno.stderr.isTerminal(),
  print: (line: string) => void = (line) => console.error(line),
): Progress {
  return terminal ? new Bars() : new Lines(print);
}

class Bars implements Progress {
  #bar: { readonly label: string; readonly bar: cliProgress.SingleBar } | null = null;
  #since = 0;

  update(label: string, done: number, total: number, unit: string): void {
    if (this.#bar?.label !== label) {
      this.stop();
      const format = `${label} {bar} {percentage}% {value}/{total} ${unit} {rate}`;
      const bar = new cliProgress.SingleBar({ format, clearOnComplete: false });
      bar.start(total, done, { rate: "" });
      this.#bar = { label, bar };
      this.#since = performance.now();
    }
    this.#bar.bar.setTotal(total);
    this.#bar.bar.update(done, { rate: rateOf(done, performance.now() - this.#since, unit) });
    if (done >= total) this.stop();
  }

  stop(): void {
    this.#bar?.bar.stop();
    this.#bar = null;
  }
}

class Lines implements Progress {
  readonly #print: (line: string) => void;
  #label: string | null = null;
  #tenth = 0;
  #since = 0;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  update(label: string, done: number, total: number, unit: string): void {
    if (label !== this.#label) {
      this.#label = label;
      this.#tenth = 0;
      this.#since = performance.now();
    }
    const tenth = total === 0 ? 10 : Math.floor((done * 10) / total);
    if (tenth <= this.#tenth) return;
    this.#tenth = tenth;
    const rate = rateOf(done, performance.now() - this.#since, unit);
    this.#print(`${label}: ${done} of ${total} ${unit} ${rate}`.trimEnd());
  }

  stop(): void {}
}

function rateOf(done: number, milliseconds: number, unit: string): string {
  if (unit !== "bytes" || milliseconds <= 0) return "";
  return `${(done / milliseconds / 1e6).toFixed(2)} GB/s`;
}
