import type { OutputEnd, Sequence } from "../../actors/batch_former/protocol.ts";
import type * as Executor from "../../actors/executor/protocol.ts";
import type { TokenLogprobs } from "../../actors/sampling.ts";
import type { PageId, RequestId, SlotId } from "../../memory/ids.ts";

/** Small, so that stop tokens come up. */
export const VOCABULARY = 64;
export const BLOCK = 16;

/** The "model": a token follows from everything that is visible at its position, and from nothing else. */
export function tokenAfter(
  history: readonly number[],
  adapters: readonly string[],
  generatedSum: number,
): number {
  return hash([...history, ...adapters, `sum ${generatedSum}`]) % VOCABULARY;
}

function logprobAfter(history: readonly number[], target: number): TokenLogprobs {
  return { logprob: -(hash([...history, `target ${target}`]) % 1000) / 100, top: [] };
}

/** What a sequence yields when nothing else runs. */
export function runAlone(
  { prompt, generated, adapters, maxTokens, stopTokenIds, promptLogprobs }: Sequence,
): {
  readonly tokens: number[];
  readonly promptLogprobs: (TokenLogprobs | null)[];
  readonly end: OutputEnd;
} {
  const names = adapters.map(({ adapter, weight }) => `${adapter} * ${weight}`);
  const all = [...prompt, ...generated];
  let sum = generated.reduce((total, token) => total + token, 0);
  let stopped = stopTokenIds.includes(generated.at(-1) ?? -1);
  while (!stopped && all.length < prompt.length + maxTokens) {
    const token = tokenAfter(all, names, sum);
    all.push(token);
    sum += token;
    stopped = stopTokenIds.includes(token);
  }
  return {
    tokens: all.slice(prompt.length + generated.length),
    promptLogprobs: promptLogprobs && generated.length === 0
      ? prompt.map((token, i) => i === 0 ? null : logprobAfter(prompt.slice(0, i), token))
      : [],
    end: { kind: "finished", reason: stopped ? "stop" : "length" },
  };
}

/** What a page of the pool holds: whoever wrote there last. */
type Page =
  | { readonly kind: "kv"; readonly part: number; readonly tokens: Map<number, Entry> }
  | { readonly kind: "adapter"; readonly name: string; readonly pages: readonly PageId[] };

/** KV of one position: it depends on the text up to there, on the adapters and on who may share it. */
interface Entry {
  readonly token: number;
  readonly trace: number;
}

interface Slot {
  readonly salt: string;
  readonly routes: readonly Executor.Route[];
  readonly pages: PageId[];
  readonly reportLogprobs: boolean;
  generatedSum: number;
  last: number | null;
}

/**
 * Keeps to the executor's protocol and models the pools' contents page by page: a page with two owners, a
 * stale block table, a wrong position or a row that ran twice comes out as a wrong token.
 */
export class SimulatedExecutor {
  readonly #pagesPerBlock: number;
  readonly #layers = new Map<PageId, Page>();
  readonly #heads = new Map<PageId, Page>();
  readonly #slots = new Map<SlotId, Slot>();
  readonly #uploads: (Extract<Executor.Command, { kind: "upload" }> & { done: number })[] = [];

  readonly #saltOf: (request: RequestId) => string;

  /** KV that was made under another salt than a request's own is none of its business. */
  constructor(pagesPerBlock: number, saltOf: (request: RequestId) => string = () => "") {
    this.#pagesPerBlock = pagesPerBlock;
    this.#saltOf = saltOf;
  }

  /** Does a command; the answer is null except to a step. */
  apply(command: Executor.Command): Executor.Stepped | null {
    switch (command.kind) {
      case "open":
        this.#open(command);
        return null;
      case "close":
        if (this.#slots.delete(command.slot)) return null;
        throw new Error(`Cannot close slot: it is not open, received ${command.slot}`);
      case "upload":
        this.#uploads.push({ ...command, done: 0 });
        return null;
      case "step":
        return {
          kind: "stepped",
          step: command.step,
          rows: command.rows.map((row) => this.#run(row)),
        };
    }
  }

  /** Uploads are under way. */
  get uploading(): boolean {
    return this.#uploads.length > 0;
  }

  /** One more page of the oldest upload; the answer when that was its last. */
  uploadPage(): Executor.Uploaded | null {
    const [upload] = this.#uploads;
    if (!upload) throw new Error("Cannot upload: nothing is to be uploaded");
    const { adapter, layerPages, headPages } = upload;
    const at = upload.done++;
    const layer = layerPages[at];
    const head = headPages[at - layerPages.length];
    if (layer !== undefined) {
      this.#layers.set(layer, { kind: "adapter", name: adapter, pages: layerPages });
    } else if (head !== undefined) {
      this.#heads.set(head, { kind: "adapter", name: adapter, pages: headPages });
    }
    if (upload.done < layerPages.length + headPages.length) return null;
    this.#uploads.shift();
    return { kind: "uploaded", adapter, bytes: upload.done, seconds: 0 };
  }

  #open(command: Extract<Executor.Command, { kind: "open" }>): void {
    const { slot, request, routes, generated, sampling } = command;
    if (this.#slots.has(slot)) throw new Error(`Cannot open slot: it is open, received ${slot}`);
    this.#slots.set(slot, {
      salt: this.#saltOf(request),
      routes,
      pages: [],
      reportLogprobs: sampling.topLogprobs !== null,
      generatedSum: generated.reduce((total, token) => total + token, 0),
      last: null,
    });
  }

  #run(row: Executor.Row): Executor.SteppedRow {
    const slot = this.#slots.get(row.slot);
    if (!slot) throw new Error(`Cannot run row: its slot is not open, received ${row.slot}`);
    slot.pages.push(...row.newPages);
    const tokens = row.tokens ?? [slot.last ?? Number.NaN];
    let trace = this.#entries(slot, row.position).at(-1)?.trace ?? this.#origin(slot);
    tokens.forEach((token, i) => {
      trace = hash([trace, token]);
      this.#write(slot, row.position + i, { token, trace });
    });
    const promptLogprobs = (row.promptTargets ?? []).flatMap((target, i) =>
      target === null ? [] : [logprobAfter(this.#history(slot, row.position + i + 1), target)]
    );
    if (!row.sample) return { slot: row.slot, token: null, logprobs: null, promptLogprobs };
    const history = this.#history(slot, row.position + tokens.length);
    const token = tokenAfter(history, this.#adapters(slot), slot.generatedSum);
    slot.last = token;
    slot.generatedSum += token;
    const logprobs = slot.reportLogprobs ? logprobAfter(history, token) : null;
    return { slot: row.slot, token, logprobs, promptLogprobs };
  }

  #write(slot: Slot, position: number, entry: Entry): void {
    const first = Math.floor(position / BLOCK) * this.#pagesPerBlock;
    for (let part = 0; part < this.#pagesPerBlock; part++) {
      const page = slot.pages[first + part];
      if (page === undefined) throw new Error(`Cannot write KV: no page for position ${position}`);
      const old = this.#layers.get(page);
      const kept = old?.kind === "kv" && old.part === part ? old.tokens : new Map();
      this.#layers.set(page, { kind: "kv", part, tokens: kept.set(position % BLOCK, entry) });
    }
  }

  /** The tokens that attention would see; NaN where KV was made of another text, by other adapters, or is none. */
  #history(slot: Slot, length: number): number[] {
    let trace = this.#origin(slot);
    return this.#entries(slot, length).map((entry) => {
      trace = hash([trace, entry?.token ?? Number.NaN]);
      return entry?.trace === trace ? entry.token : Number.NaN;
    });
  }

  #origin(slot: Slot): number {
    return hash([slot.salt, ...slot.routes.map(({ adapter, weight }) => `${adapter} * ${weight}`)]);
  }

  /** The KV of each position; null where the parts of a block disagree or hold something else altogether. */
  #entries(slot: Slot, length: number): (Entry | null)[] {
    return Array.from({ length }, (_, position) => {
      const first = Math.floor(position / BLOCK) * this.#pagesPerBlock;
      const seen = new Set<Entry | null>();
      for (let part = 0; part < this.#pagesPerBlock; part++) {
        const page = this.#layers.get(slot.pages[first + part] as PageId);
        const holds = page?.kind === "kv" && page.part === part;
        seen.add(holds ? page.tokens.get(position % BLOCK) ?? null : null);
      }
      const [entry = null] = seen;
      return seen.size === 1 ? entry : null;
    });
  }

  /** The adapters that the kernels would read, from the first page of each. */
  #adapters(slot: Slot): string[] {
    return slot.routes.map(({ layerPage, headPage, weight }) => {
      const names = new Set([
        ...this.#names(this.#layers, layerPage),
        ...this.#names(this.#heads, headPage),
      ]);
      return `${[...names].join("|")} * ${weight}`;
    });
  }

  #names(pool: ReadonlyMap<PageId, Page>, first: PageId | null): string[] {
    if (first === null) return [];
    const head = pool.get(first);
    if (head?.kind !== "adapter" || head.pages[0] !== first) return ["overwritten"];
    return head.pages.map((id) => {
      const page = pool.get(id);
      return page?.kind === "adapter" && page.pages === head.pages ? page.name : "overwritten";
    });
  }
}

/** FNV-1a over the parts' texts. */
function hash(parts: readonly (number | string)[]): number {
  let value = 0x811c9dc5;
  for (const part of parts) {
    for (const character of `${part};`) {
      value = Math.imul(value ^ character.charCodeAt(0), 0x01000193) >>> 0;
    }
  }
  return value ^ (value >>> 15);
}
