import { assert, assertEquals, assertMatch } from "@std/assert";
import { UNKNOWN_MEMORY } from "../../actors/batch_former/unknown_memory.ts";
import { AdapterRegistry } from "../../actors/request_router/registry.ts";
import { type AdapterId, adapterId } from "../../memory/ids.ts";
import { Metrics } from "../../routes/metrics_registry.ts";
import { readExposition, type Sample } from "../support/exposition.ts";
import { finished, said, saying, ScriptedRouter } from "../support/scripted_router.ts";
import { openEdge, post, strictly } from "./edge_fixture.ts";

const LOAD = {
  running: 3,
  waiting: 2,
  pages: 100,
  freePages: 25,
  kvPages: 60,
  cachedPages: 0,
  adapterPages: 15,
  residentAdapters: [] as readonly AdapterId[],
  arrivingAdapters: 0,
  residency: UNKNOWN_MEMORY.residency,
  preemptions: 0,
  sheds: 0,
  prefixQueries: 0,
  prefixHits: 0,
  steps: 1,
};
const NAMES = new Map([["1", ["upper", "also-upper"]], ["2", ["reverse"]], ["3", ["a,b"]], ["4", [
  'a"b\\c',
]]]);
const names = { namesOf: (id: AdapterId) => NAMES.get(id) ?? [], changes: 0 };
const residents = (...ids: string[]) => ({ ...LOAD, residentAdapters: ids.map(adapterId) });

async function scraped(metrics: Metrics): Promise<Sample[]> {
  return readExposition((await metrics.render()).text);
}

/** The one series of vllm:lora_requests_info. */
async function lora(metrics: Metrics): Promise<Sample> {
  const found = (await scraped(metrics)).filter(({ name }) => name === "vllm:lora_requests_info");
  assertEquals(found.length, 1);
  return found[0] as Sample;
}

strictly(
  "residents are all listed in one series, whether or not anyone uses them " +
    "(vLLM #45325, #5830, #54830, llm-d-router #2605, #1500)",
  async () => {
    const metrics = new Metrics(() => true, { names });
    assertEquals((await lora(metrics)).labels.running_lora_adapters, "");
    for (const ids of [["1"], ["1", "2"], ["2"], ["2", "1", "3", "4"]]) {
      metrics.load(residents(...ids));
      const names = ids.flatMap((id) => NAMES.get(id) ?? []).filter((name) => name !== "a,b");
      assertEquals((await lora(metrics)).labels.running_lora_adapters, names.sort().join(","));
    }
  },
);

strictly(
  "there is room for the residents, those on their way, and as many of their size as pages that are free or cached hold",
  async () => {
    const metrics = new Metrics(() => true, { names });
    metrics.load(residents("1", "2")); // 7.5 pages each
    assertEquals((await lora(metrics)).labels.max_lora, "5");
    metrics.load({ ...residents("1", "2"), freePages: 0 });
    assertEquals((await lora(metrics)).labels.max_lora, "2");
    metrics.load({ ...residents("1", "2"), freePages: 0, kvPages: 0, cachedPages: 85 });
    assertEquals((await lora(metrics)).labels.max_lora, "13");
    metrics.load({ ...residents("1", "2"), arrivingAdapters: 1 }); // 5 pages each
    assertEquals((await lora(metrics)).labels.max_lora, "8");
  },
);

strictly(
  "a name that is gone, or means other files, is resident no more at the next scrape",
  async () => {
    const registry = new AdapterRegistry();
    const entry = { path: "/x", parent: "base" };
    for (const name of ["one", "two"]) registry.add({ name, id: adapterId("x"), ...entry });
    const metrics = new Metrics(() => true, { names: registry });
    metrics.load(residents("x"));
    const listed = async () => (await lora(metrics)).labels.running_lora_adapters;
    assertEquals(await listed(), "one,two");
    registry.remove("one");
    assertEquals(await listed(), "two");
    registry.remove("two");
    registry.add({ name: "two", id: adapterId("y"), ...entry });
    assertEquals(await listed(), "");
  },
);

strictly("its value is the time of the last change", async () => {
  const metrics = new Metrics(() => true, { names });
  metrics.load(residents("1"));
  const before = Date.now() / 1000;
  const first = await lora(metrics);
  assert(first.value >= before && first.value <= Date.now() / 1000);
  metrics.load({ ...residents("1"), running: 9 });
  assertEquals(await lora(metrics), first);
});

strictly("an adapter that is not on the GPU is waiting until its first token", async () => {
  const go = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const router = new ScriptedRouter(async function* () {
    yield* saying([]).take(1);
    begun.resolve();
    await go.promise;
    yield said("x");
    yield finished(1);
  });
  const metrics = new Metrics(() => true, { names });
  const { app } = openEdge(router, { metrics });
  const answer = app.request("/v1/completions", post({ model: "reverse", prompt: "x", n: 2 }));
  await begun.promise;
  assertEquals((await lora(metrics)).labels.waiting_lora_adapters, "reverse");
  metrics.load(residents("2"));
  assertEquals((await lora(metrics)).labels.waiting_lora_adapters, "");
  metrics.load(residents("1"));
  assertEquals((await lora(metrics)).labels.waiting_lora_adapters, "reverse");
  go.resolve();
  await (await answer).body?.cancel();
  assertEquals((await lora(metrics)).labels.waiting_lora_adapters, "");
});

strictly("load is told under the names of the endpoint picker's protocol", async () => {
  const metrics = new Metrics(() => true, { names });
  metrics.load(LOAD);
  const limits = {
    maxModelLen: 512,
    poolTokens: 8000,
    pagesPerBlock: 1,
    device: "",
    software: true,
  };
  metrics.limits({ ...limits, provider: "builtin" });
  const samples = new Map((await scraped(metrics)).map((sample) => [sample.name, sample]));
  assertEquals(samples.get("vllm:num_requests_running")?.value, 3);
  assertEquals(samples.get("vllm:num_requests_waiting")?.value, 2);
  assertEquals(samples.get("vllm:kv_cache_usage_perc")?.value, 0.6);
  assertEquals(samples.get("vllm:cache_config_info")?.labels, {
    block_size: "16",
    num_gpu_blocks: "500",
  });
});

strictly(
  "while there is no engine nothing runs or is resident, and all that is open waits",
  async () => {
    const metrics = new Metrics(() => true, { names });
    metrics.load(LOAD);
    for (let i = 0; i < 2; i++) metrics.sequence({ name: "base", adapter: false });
    metrics.lost();
    const samples = new Map((await scraped(metrics)).map((sample) => [sample.name, sample]));
    const value = (name: string) => samples.get(name)?.value;
    assertEquals(value("vllm:num_requests_running"), 0);
    assertEquals(value("vllm:num_requests_waiting"), 2);
    assertEquals(value("chorus_sequences_waiting"), 2);
    assertEquals(value("vllm:kv_cache_usage_perc"), 0);
    assertEquals(value("chorus_pages_adapter"), 0);
    assertEquals(samples.get("vllm:lora_requests_info")?.labels.running_lora_adapters, "");
  },
);

strictly("what engines count goes on when another engine begins at zero", async () => {
  const metrics = new Metrics(() => true);
  const stepSeconds = { encode: 1, gpu: 5, read: 0.5 };
  const counts = {
    arrivingPages: 0,
    ...{ hostAdapters: 4, hostBytes: 4096, diskLoads: 3, failedLoads: 1, hostEvictions: 0 },
    ...{ gpuEvictions: 2, gpuHits: 40, gpuMisses: 6, prefetches: 1, uploads: 6 },
    ...{ uploadBytes: 6000, uploadSeconds: 0.25 },
  };
  metrics.load({ ...LOAD, stepSeconds, residency: counts });
  metrics.load({
    ...LOAD,
    stepSeconds: { ...stepSeconds, gpu: 1 },
    residency: { ...counts, gpuHits: 2 },
  });
  const text = (await metrics.render()).text;
  assertMatch(text, /^chorus_step_seconds_total\{part="gpu"\} 6$/m);
  assertMatch(text, /^chorus_adapter_hits_total 42$/m);
  assertMatch(text, /^chorus_adapter_upload_bytes_total 6000$/m);
  assertMatch(text, /^chorus_adapters_host 4$/m);
});

strictly(
  "times are kept for base and adapters, and for each model only where that is asked for",
  async () => {
    for (const perAdapter of [false, true]) {
      const gone = new Set<string>();
      const isModel = (name: string) => !gone.has(name);
      const { app, metrics } = openEdge(undefined, {
        metrics: new Metrics(() => true, perAdapter ? { isModel } : {}),
      });
      for (const model of ["demo", "upper", "reverse"]) {
        await (await app.request("/v1/completions", post({ model, prompt: "x" }))).body?.cancel();
      }
      const seen = async () =>
        (await scraped(metrics)).flatMap(({ name, labels }) =>
          name === "chorus_time_to_first_token_seconds_count" ? [labels.model] : []
        );
      assertEquals(await seen(), perAdapter ? ["demo", "upper", "reverse"] : ["base", "adapter"]);
      // A stream that goes on after its adapter was unloaded leaves nothing that stays.
      const late = metrics.sequence({ name: "upper", adapter: true });
      gone.add("upper");
      assertEquals(await seen(), perAdapter ? ["demo", "reverse"] : ["base", "adapter"]);
      late.see(said("x"));
      assertEquals(await seen(), perAdapter ? ["demo", "reverse"] : ["base", "adapter"]);
      const text = (await metrics.render()).text;
      assertEquals(text.includes('model="upper"'), false);
    }
  },
);

strictly("usage says where the time to the first token went, when it is asked for", async () => {
  const times = { queueMs: 1.23456, adapterMs: 0, prefillMs: 20 };
  const edge = openEdge(
    new ScriptedRouter(function* () {
      yield* saying([]).take(1);
      yield said("x");
      const end = finished(1);
      if (end.kind === "finished") yield { ...end, usage: { ...end.usage, times } };
    }),
  );
  const timings = { queue_ms: 1.235, adapter_ms: 0, prefill_ms: 20 };
  const ask = async (body: object) =>
    await (await edge.app.request("/v1/completions", post({ model: "demo", prompt: "x", ...body })))
      .text();
  const told = JSON.stringify(timings).slice(1, -1);
  assert((await ask({ include_timings: true })).includes(told));
  const stream = await ask({ include_timings: true, stream: true });
  assert(stream.split("\n\n").at(-3)?.includes(told), stream);
  assert(!(await ask({})).includes("timings"));
  assert(
    !(await ask({ stream: true, stream_options: { include_usage: true } })).includes("timings"),
  );
  const { text } = await edge.metrics.render();
  assertMatch(text, /^chorus_prefill_seconds_sum\{model="base"\} 0.08$/m);
});
