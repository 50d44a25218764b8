import { assert, assertEquals } from "@std/assert";
import { engineProcesses } from "../support/engine_processes.ts";
import type { goldens } from "../support/goldens.ts";
import { randomSource } from "../support/random.ts";
import type { TestServer } from "../support/server.ts";
import { type Corpus, variantsOf } from "./corpus.ts";
import { History } from "./history.ts";
import { agrees, questions } from "./oracle.ts";

export interface SoakOptions {
  readonly requests: number;
  /** Requests in flight. */
  readonly concurrency: number;
  /** Requests between two reloads or unloads, and between two deaths of the engine. */
  readonly changeEvery: number;
  readonly killEvery: number;
  readonly maxTokens: number;
  readonly seed: number;
}

/** What happened; a soak in which nothing did says nothing. */
export interface SoakTotals {
  answered: number;
  cancelled: number;
  unknown: number;
  refusedForLoad: number;
  reloads: number;
  unloads: number;
  kills: number;
  /** Distinct ones that answered. */
  adapters: number;
}

const ADMIN = { "content-type": "application/json", authorization: "Bearer soak" };

/**
 * Requests for adapters of `corpus`, skewed, while adapters are reloaded and unloaded, clients leave and the
 * engine dies. Every request must end, with what PEFT says of a revision that its name had while it was open.
 */
export async function soak(
  server: TestServer,
  golden: ReturnType<typeof goldens>,
  corpus: Corpus,
  options: SoakOptions,
): Promise<SoakTotals> {
  const random = randomSource(options.seed);
  const variants = variantsOf(golden);
  const asked = await questions(server.url, golden, corpus, options.maxTokens, 3);
  const histories = new Map(corpus.names.map((name) => [name, new History(corpus.first(name))]));
  const totals: SoakTotals = {
    answered: 0,
    cancelled: 0,
    unknown: 0,
    refusedForLoad: 0,
    reloads: 0,
    unloads: 0,
    kills: 0,
    adapters: 0,
  };
  const served = new Set<string>();
  const pick = <T>(list: readonly T[], power = 1): T => {
    const item = list[Math.floor(random() ** power * list.length)];
    assert(item !== undefined);
    return item;
  };

  async function ask(): Promise<void> {
    const name = pick(corpus.names, 4);
    const history = histories.get(name);
    assert(history);
    const { since } = history;
    const { prompt, answers } = pick(asked);
    const max_tokens = 1 + Math.floor(random() * options.maxTokens);
    const leaveAfter = random() < 0.1 ? Math.floor(random() * max_tokens) : null;
    const gone = new AbortController();
    const response = await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      signal: gone.signal,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model: name,
        prompt,
        max_tokens,
        temperature: 0,
        stream: true,
        logprobs: random() < 0.05 ? 1 : null,
      }),
    });
    if (response.status === 429 || response.status === 503) {
      await response.body?.cancel();
      totals.refusedForLoad++;
      return ask();
    }
    const [text, whole] = response.ok
      ? await readStream(response, leaveAfter, gone)
      : [await response.text(), true];
    const met = history.met(since);
    if (response.status === 404) {
      assert(met.includes(null), `${name} is unknown, but was ${JSON.stringify(met)}: ${text}`);
      totals.unknown++;
      return;
    }
    assertEquals(response.status, 200, text);
    if (whole) assertEquals([...text].length, max_tokens, text);
    const right = met.some((version) =>
      version !== null && agrees(text, answers.get(version) ?? "")
    );
    assert(right, `${name} answers ${text}, but was ${JSON.stringify(met)}`);
    served.add(name);
    if (whole) totals.answered++;
    else totals.cancelled++;
  }

  async function admin(path: string, body: object): Promise<void> {
    const response = await fetch(`${server.url}/v1/${path}`, {
      method: "POST",
      headers: ADMIN,
      body: JSON.stringify(body),
    });
    assertEquals(response.status, 200, await response.text());
  }

  async function change(): Promise<void> {
    const name = pick(corpus.names, 4);
    const history = histories.get(name);
    if (!history || history.changing) return;
    if (history.latest !== null && random() < 0.3) {
      totals.unloads++;
      return await history.change(
        null,
        () => admin("unload_lora_adapter", { lora_name: name }),
      );
    }
    const variant = pick(variants);
    totals.reloads++;
    await history.change(variant, async () => {
      const lora_path = await corpus.revise(variant);
      await admin("load_lora_adapter", { lora_name: name, lora_path, load_inplace: true });
    });
  }

  async function kill(): Promise<void> {
    const [engine] = await engineProcesses(server.child.pid);
    if (engine === undefined) return; // it is on its way back from the last time
    Deno.kill(engine, "SIGKILL");
    totals.kills++;
  }

  let sent = 0;
  const client = async () => {
    while (sent < options.requests) {
      const turn = ++sent;
      const others: Promise<void>[] = [];
      if (turn % options.changeEvery === 0) others.push(change());
      if (turn % options.killEvery === 0) others.push(kill());
      await Promise.all([ask(), ...others]);
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, client));
  for (const [name, history] of histories) {
    if (history.latest !== null) await admin("unload_lora_adapter", { lora_name: name });
  }
  return { ...totals, adapters: served.size };
}

/** A stream's text, and whether it was read to its end: it is left after `leaveAfter` parts. */
async function readStream(
  response: Response,
  leaveAfter: number | null,
  gone: AbortController,
): Promise<[string, boolean]> {
  let [text, parts, rest] = ["", 0, ""];
  const stream = response.body?.pipeThrough(new TextDecoderStream()) ?? [];
  for await (const piece of stream) {
    const events = (rest + piece).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") return [text, true];
      const part = JSON.parse(data);
      assert(part.error === undefined, data);
      text += part.choices[0]?.text ?? "";
      if (leaveAfter !== null && parts++ >= leaveAfter) {
        gone.abort();
        return [text, false];
      }
    }
  }
  throw new Error(`Cannot read the stream: it ended without its end, received ${text}`);
}
