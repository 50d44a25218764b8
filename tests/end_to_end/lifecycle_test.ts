import { assert, assertEquals } from "@std/assert";
import { copyAdapter, tempDirectory } from "../cli/adapter_fixture.ts";
import { startServer, type TestServer } from "../support/server.ts";

const HEADERS = { "content-type": "application/json" };
const ADMIN = { ...HEADERS, authorization: "Bearer secret" };

const post = (server: TestServer, path: string, body: object, headers = ADMIN) =>
  fetch(`${server.url}/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) });

async function say(server: TestServer, model: string, word: string): Promise<string> {
  const messages = [{ role: "user", content: word }];
  const body = { model, messages, temperature: 0, max_tokens: 40 };
  const response = await post(server, "chat/completions", body, HEADERS as typeof ADMIN);
  if (!response.ok) return `${response.status} ${await response.text()}`;
  const { choices } = await response.json();
  return choices[0].message.content;
}

async function metric(server: TestServer, name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1] ?? NaN);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 120_000; Date.now() < deadline;) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Cannot wait any longer: ${what}`);
}

Deno.test("adapters come, change and go while the server runs, and leave nothing behind (vLLM #30931, vLLM #42125, vLLM #42633)", async () => {
  await using watched = await tempDirectory();
  await using root = await tempDirectory();
  await using links = await tempDirectory();
  await Deno.symlink(root.path, `${links.path}/root`);
  await copyAdapter("reverse", `${watched.path}/first`);
  await copyAdapter("upper", `${root.path}/upper`);
  await copyAdapter("double", `${root.path}/double`);
  await Deno.mkdir(`${root.path}/broken`);
  await Deno.copyFile(
    `${root.path}/upper/adapter_config.json`,
    `${root.path}/broken/adapter_config.json`,
  );
  await Deno.writeTextFile(`${root.path}/broken/adapter_model.safetensors`, "no weights");
  await copyAdapter("sort", `${links.path}/secret`);
  await copyAdapter("sort", `${root.path}/linked`);
  await Deno.remove(`${root.path}/linked/adapter_model.safetensors`);
  await Deno.symlink(
    `${links.path}/secret/adapter_model.safetensors`,
    `${root.path}/linked/adapter_model.safetensors`,
  );
  await using server = await startServer({
    args: [
      ...[
        "--adapters",
        watched.path,
        "--adapter-roots",
        `${links.path}/root`,
        "--admin-key",
        "secret",
      ],
    ],
  });
  assertEquals(await say(server, "first", "stone"), "enots");

  // Loaded by path, twice under one name with different files: no KV of the first is used for the second.
  assertEquals((await say(server, "mine", "stone")).slice(0, 3), "404");
  const load = (lora_path: string, load_inplace = false) =>
    post(server, "load_lora_adapter", { lora_name: "mine", lora_path, load_inplace });
  const loaded = await load("upper");
  assertEquals(loaded.status, 200, await loaded.text());
  assertEquals(await say(server, "mine", "stone"), "STONE");
  assertEquals((await load("double")).status, 400);
  const broken = await load("broken", true);
  assertEquals(broken.status, 400, await broken.text());
  const linked = await (await load("linked", true)).json();
  assert(linked.error.message.includes("a link leads out of --adapters"), linked.error.message);
  assertEquals(await say(server, "mine", "stone"), "STONE");
  assertEquals((await load("double", true)).status, 200);
  assertEquals(await say(server, "mine", "stone"), "ssttoonnee");

  // Pinned, seen, and let go.
  assertEquals((await post(server, "adapters/mine/pin", {})).status, 200);
  const { data } = await (await fetch(`${server.url}/v1/adapters`)).json();
  const states = data.map(({ id, state }: { id: string; state: string }) => [id, state]);
  assertEquals(states, [["first", "gpu"], ["mine", "pinned"]]);

  // Dropped into the directory: there within two seconds, says the documentation.
  await copyAdapter("sort", `${watched.path}/second`);
  await until("second appears", async () => await say(server, "second", "stone") === "enost");

  // Unloaded in mid-stream: who runs finishes, who comes later does not find it.
  const running = await post(server, "completions", {
    model: "mine",
    prompt: "a".repeat(50),
    max_tokens: 300,
    ignore_eos: true,
    stream: true,
  }, HEADERS as typeof ADMIN);
  assert(running.body);
  const reader = running.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = (await reader.read()).value ?? "";
  assertEquals((await post(server, "unload_lora_adapter", { lora_name: "mine" })).status, 200);
  assertEquals((await say(server, "mine", "stone")).slice(0, 3), "404");
  for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
  assert(text.includes("[DONE]") && !text.includes('"error"'), text.slice(-300));

  // Nothing is left of any of them.
  await Deno.remove(`${watched.path}/second`, { recursive: true });
  await Deno.remove(`${watched.path}/first`, { recursive: true });
  await until("all are gone", async () => (await say(server, "first", "a")).startsWith("404"));
  await until("second is gone", async () => (await say(server, "second", "a")).startsWith("404"));
  await until("memory is free", async () => {
    await say(server, "demo", "a"); // what is told of memory is as of the last plan
    return await metric(server, "chorus_adapter_host_bytes") === 0 &&
      await metric(server, "chorus_pages_adapter") === 0;
  });
});
