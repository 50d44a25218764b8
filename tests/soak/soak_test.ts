import { assert, assertEquals } from "@std/assert";
import { loadModelConfig } from "../../models/parse_config.ts";
import { goldenModel } from "../support/golden_model.ts";
import { goldens } from "../support/goldens.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { createCorpus } from "./corpus.ts";
import { soak } from "./soak.ts";

// The long form, by hand: CHORUS_SOAK=full deno task test tests/soak
const FULL = Deno.env.get("CHORUS_SOAK") === "full";

Deno.test("whatever adapters, clients and engines do, every request ends, with what its revision says", async () => {
  const golden = goldens("llama");
  const config = await loadModelConfig(golden.directory);
  await using model = await goldenModel("llama", config.vocabSize);
  await using corpus = await createCorpus(golden, FULL ? 10_000 : 200);
  await using server = await startServer({
    args: [
      ...["--model", model.directory, "--name", "base", "--max-model-len", "128"],
      ...["--adapters", corpus.directory, "--adapter-roots", corpus.revisions],
      ...["--admin-key", "soak"],
      // Room for a part of the adapters only, on the GPU and in host memory.
      ...["--pool-bytes", String(config.layers * 4096 * 500), "--adapter-host-bytes", "4MiB"],
    ],
  });
  const before = await memory(server, ({ open, kv }) => open === 0 && kv === 0);
  const totals = await soak(server, golden, corpus, {
    requests: FULL ? 100_000 : 300,
    concurrency: 48,
    changeEvery: 8,
    killEvery: FULL ? 10_000 : 120,
    maxTokens: 6,
    seed: 1,
  });
  if (FULL) console.log(totals);
  assert(totals.adapters > (FULL ? 5000 : 50), JSON.stringify(totals));
  assert(totals.answered > 0.6 * (FULL ? 100_000 : 300) && totals.cancelled > 0, "too few answers");
  assert(totals.unknown > 0 && totals.reloads > 10 && totals.unloads > 2, JSON.stringify(totals));
  assert(totals.kills > 1, "no engine died");
  // Every adapter is unloaded now, and every request has ended: memory is as it was before the first.
  const after = await memory(
    server,
    ({ open, kv, adapter, host }) => open + kv + adapter + host === 0,
  );
  assertEquals({ ...after, cached: 0 }, { ...before, host: 0, adapter: 0, cached: 0 });
});

interface Memory {
  readonly open: number;
  readonly kv: number;
  readonly cached: number;
  readonly adapter: number;
  readonly host: number;
}

/** Requests, pages and host bytes in use, as soon as they are as expected, or in the end as they are. */
async function memory(
  server: TestServer,
  expected: (found: Memory) => boolean,
): Promise<Memory> {
  const ask = async () => {
    // A request of the base makes the engine plan, and tell of its memory some time later.
    await (await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "base", prompt: [1], max_tokens: 1 }),
    })).text();
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const read = (name: string) =>
      Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1] ?? NaN);
    return {
      open: read("chorus_sequences_open"),
      kv: read("chorus_pages_kv"),
      cached: read("chorus_pages_cached"),
      adapter: read("chorus_pages_adapter"),
      host: read("chorus_adapter_host_bytes"),
    };
  };
  let found = await ask();
  for (let i = 0; i < 1200 && !expected(found); i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    found = await ask();
  }
  return found;
}
