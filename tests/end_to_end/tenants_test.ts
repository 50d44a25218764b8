import { createHash } from "node:crypto";
import { assert, assertEquals } from "@std/assert";
import OpenAI from "openai";
import { readExposition } from "../support/exposition.ts";
import { startServer } from "../support/server.ts";

const hashed = (key: string) => `sha256:${createHash("sha256").update(key).digest("hex")}`;
const tenants = (keyOfBeta: string) =>
  JSON.stringify({
    tenants: {
      alpha: { keys: [hashed("alpha-key")], adapters: ["rev*", "upper"] },
      beta: { keys: [hashed(keyOfBeta)], adapters: ["upper"], base: false },
    },
  });
const tell = { temperature: 0, max_tokens: 12 } as const;

Deno.test("tenants share a server that real scrapes read meanwhile, and a changed file counts without a restart", async () => {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(path, tenants("beta-key"));
  await using server = await startServer({ args: ["--tenant-file", path, "--api-key", "scraper"] });
  const client = (apiKey: string) =>
    new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
  const say = async (apiKey: string, model: string) => {
    const messages = [{ role: "user" as const, content: "stone" }];
    const { choices } = await client(apiKey).chat.completions.create({ model, messages, ...tell });
    return choices[0]?.message.content;
  };
  const scraper = { headers: { authorization: "Bearer scraper" } };
  const scrape = async () =>
    readExposition(await (await fetch(`${server.url}/metrics`, scraper)).text());

  let done = false;
  const scraping = (async () => {
    let count = 0;
    for (; !done; count++) {
      const infos = (await scrape()).filter(({ name }) => name === "vllm:lora_requests_info");
      assertEquals(infos.length, 1);
      await new Promise((resolve) => setTimeout(resolve, 50)); // as gateways do
    }
    return count;
  })();
  const said = await Promise.all(
    Array.from(
      { length: 9 },
      (_, i) =>
        i % 3 === 0
          ? say("alpha-key", "reverse")
          : i % 3 === 1
          ? say("beta-key", "upper")
          : say("alpha-key", "demo"),
    ),
  );
  done = true;
  assert(await scraping > 0);
  assertEquals(new Set(said), new Set(["enots", "STONE", "stone"]));

  // The engine tells its load some time after its tokens.
  let samples = await scrape();
  const told = () =>
    ["reverse", "upper"].every((name) =>
      samples.some(({ labels }) => labels.running_lora_adapters?.split(",").includes(name))
    );
  while (!told()) samples = await scrape();
  const value = (name: string, model?: string) =>
    samples.find((sample) => sample.name === name && sample.labels.model === model)?.value ?? NaN;
  const info = samples.find(({ name }) => name === "vllm:lora_requests_info")?.labels;
  assert(Number(info?.max_lora) > 2);
  for (const wait of ["chorus_queue_seconds", "chorus_adapter_wait_seconds"]) {
    assertEquals([value(`${wait}_count`, "base"), value(`${wait}_count`, "adapter")], [3, 6]);
  }
  for (const part of ["encode", "gpu"]) {
    const spent = samples.find(({ name, labels }) =>
      name === "chorus_step_seconds_total" && labels.part === part
    );
    assert((spent?.value ?? 0) > 0, part);
  }

  const body = JSON.stringify({ model: "upper", prompt: "stone", include_timings: true, ...tell });
  const headers = { authorization: "Bearer beta-key", "content-type": "application/json" };
  const answer = await fetch(`${server.url}/v1/completions`, { method: "POST", body, headers });
  const { usage } = await answer.json();
  assert(usage.timings.prefill_ms > 0 && usage.timings.queue_ms >= 0, JSON.stringify(usage));

  await Deno.writeTextFile(path, tenants("new-key"));
  const known = async (key: string) => {
    const response = await fetch(`${server.url}/v1/models`, {
      headers: { authorization: `Bearer ${key}` },
    });
    await response.body?.cancel();
    return response.status === 200;
  };
  while (!await known("new-key")) await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals([await known("beta-key"), await known("alpha-key")], [false, true]);
  await Deno.remove(path);
});
