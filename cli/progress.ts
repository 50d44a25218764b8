import cliProgress from "cli-progress";

/** Shows how far start-up is, stages side by side too: bars on a terminal, a line every tenth otherwise. */
export interface Progress {
  update(label: string, done: number, total: number, unit: string): void;
  /** Ends stages that were cut short. */
  stop(): void;
}

export function createProgress(
  terminal: boolean = Deno.stderr.isTerminal(),
  print: (line: string) => void = (line) => console.error(line),
): Progress {
  return terminal ? new Bars() : new Lines(print);
}

const FORMAT = "{label} {bar} {percentage}% {value}/{total} {unit} {rate}";

class Bars implements Progress {
  #all: cliProgress.MultiBar | null = null;
  readonly #stages = new Map<
    string,
    { readonly bar: cliProgress.SingleBar; readonly since: number }
  >();

  update(label: string, done: number, total: number, unit: string): void {
    this.#all ??= new cliProgress.MultiBar({ format: FORMAT, clearOnComplete: false });
    let stage = this.#stages.get(label);
    if (!stage) {
      const bar = this.#all.create(total, done, { label, unit, rate: "" });
      stage = { bar, since: performance.now() };
      this.#stages.set(label, stage);
    }
    stage.bar.setTotal(total);
    stage.bar.update(done, { rate: rateOf(done, performance.now() - stage.since, unit) });
    if (done < total) return;
    stage.bar.stop();
    if (this.#stages.values().every(({ bar }) => !bar.isActive)) this.stop();
  }

  stop(): void {
    this.#all?.stop();
    this.#all = null;
    this.#stages.clear();
  }
}

class Lines implements Progress {
  readonly #print: (line: string) => void;
  readonly #stages = new Map<string, { tenth: number; readonly since: number }>();

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  update(label: string, done: number, total: number, unit: string): void {
    const stage = this.#stages.get(label) ?? { tenth: 0, since: performance.now() };
    this.#stages.set(label, stage);
    const tenth = total === 0 ? 10 : Math.floor((done * 10) / total);
    if (tenth <= stage.tenth) return;
    stage.tenth = tenth;
    const rate = rateOf(done, performance.now() - stage.since, unit);
    this.#print(`${label}: ${done} of ${total} ${unit} ${rate}`.trimEnd());
    if (done >= total) this.#stages.delete(label);
  }

  stop(): void {
    this.#stages.clear();
  }
}

function rateOf(done: number, milliseconds: number, unit: string): string {
  if (unit !== "bytes" || milliseconds <= 0) return "";
  return `${(done / milliseconds / 1e6).toFixed(2)} GB/s`;
}
