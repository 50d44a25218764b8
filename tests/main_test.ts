import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { variableOf } from "../cli/config.ts";
import { runMain } from "./support/server.ts";

Deno.test("a bad option ends the process with 2 and names itself, its value and what was expected", async () => {
  const flag = await runMain({ args: ["--max-running", "many"] });
  assertEquals(flag, {
    code: 2,
    stdout: "",
    stderr: 'Cannot use --max-running: expected a whole number, received "many"\n',
  });
  const variable = await runMain({ env: { CHORUS_GPU: "metal" } });
  assertEquals(variable, {
    code: 2,
    stdout: "",
    stderr: 'Cannot use CHORUS_GPU: expected auto, builtin or dawn, received "metal"\n',
  });
});

Deno.test("--help lists every option with its variable and its default", async () => {
  const { code, stdout } = await runMain({ args: ["--help"] });
  assertEquals(code, 0);
  const flagsOf = async (file: string) => {
    const source = await Deno.readTextFile(new URL(`../cli/${file}`, import.meta.url));
    return source.matchAll(/flag: "--([a-z-]+) /g).map(([, flag = ""]) => flag).toArray();
  };
  const [general, scheduling] = [
    await flagsOf("config.ts"),
    await flagsOf("scheduling_options.ts"),
  ];
  assert(general.length >= 17 && scheduling.length >= 7);
  const flags = [...general, ...scheduling];
  for (const flag of flags) {
    assertStringIncludes(stdout, `--${flag} <`);
    const name = flag.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
    // A line may break between the words of a description, never within the variable.
    assertStringIncludes(stdout, variableOf(name));
  }
  assertStringIncludes(stdout.replaceAll(/\s+/g, " "), "0 picks a free one (default: 8000) [");
});

const HOPELESS: { args?: string[]; env?: Record<string, string>; why: string }[] = [
  { args: ["--model", "/nowhere"], why: "/nowhere" },
  { args: ["--adapters", "/nowhere"], why: "/nowhere" },
  { args: ["--pool-bytes", "4KiB"], why: "received 4096" },
  { args: ["--max-model-len", "100000"], why: "the model has 512 positions, received 100000" },
  { args: ["--dtype", "bf16"], why: "--dtype bf16" },
  { env: { TMPDIR: "/nowhere" }, why: "received /nowhere" },
  { env: { TMPDIR: `/tmp/${"long".repeat(20)}` }, why: "may have 103, received /tmp/long" },
];
for (const { args = [], env = {}, why } of HOPELESS) {
  const given = [...args, ...Object.entries(env).map((pair) => pair.join("="))].join(" ");
  Deno.test(`main ends with 1 and says why, once, where ${given} can never work`, async () => {
    const { code, stderr } = await runMain({ args, env });
    assertEquals(code, 1, stderr);
    const told = stderr.split("\n").filter((line) => line.includes("Cannot"));
    assertEquals(told.length, 1, stderr);
    assertStringIncludes(told[0] ?? "", why);
    assert(!/restart|is lost/.test(stderr), stderr);
  });
}

const DAMAGED: [string, string, (directory: string) => Promise<void>][] = [
  [
    "no weights",
    "no such file, received",
    (directory) => Deno.remove(`${directory}/model.safetensors`),
  ],
  [
    "an index whose shard is not there",
    "shard.safetensors",
    async (directory) => {
      await Deno.remove(`${directory}/model.safetensors`);
      const index = { weight_map: { "model.embed_tokens.weight": "shard.safetensors" } };
      const text = JSON.stringify(index);
      await Deno.writeTextFile(`${directory}/model.safetensors.index.json`, text);
    },
  ],
  [
    "weights cut short",
    "the file is truncated",
    (directory) => Deno.truncate(`${directory}/model.safetensors`, 2_000_000),
  ],
];
for (const [damage, why, inflict] of DAMAGED) {
  Deno.test(`main ends with 1 and says why, once, for a model with ${damage}`, async () => {
    const directory = await Deno.makeTempDir();
    try {
      const demo = new URL("../models/demo/base/", import.meta.url);
      for await (const { name } of Deno.readDir(demo)) {
        await Deno.copyFile(new URL(name, demo), `${directory}/${name}`);
      }
      await inflict(directory);
      const { code, stderr } = await runMain({ args: ["--model", directory] });
      assertEquals(code, 1, stderr);
      assertEquals(stderr.split("\n").filter((line) => line !== "").length, 1, stderr);
      assertStringIncludes(stderr, why);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

Deno.test("main ends with 1 where its port is taken", async () => {
  using taken = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = taken.addr as Deno.NetAddr;
  const { code, stderr } = await runMain({ args: ["--port", String(port)] });
  assertEquals(code, 1);
  assertMatch(stderr, /^Cannot listen: .*in use.*, received 127\.0\.0\.1:\d+\n$/);
});
