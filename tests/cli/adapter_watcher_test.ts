import { assert, assertEquals, assertRejects } from "@std/assert";
import { AdapterWatcher } from "../../cli/adapter_watcher.ts";
import { copyAdapter, demoAdapters, deskOf, tempDirectory } from "./adapter_fixture.ts";

async function watching(directory: string) {
  const { registry, desk, told } = deskOf(directory);
  const lines: string[] = [];
  const print = (line: string) => lines.push(line);
  const watcher = new AdapterWatcher({ directory, registry, desk, parent: "demo", print });
  await watcher.start();
  const names = () => registry.list().map(({ name }) => name).sort();
  return { watcher, registry, lines, names, told };
}

Deno.test("AdapterWatcher names adapters after their directories, and knows them by their content", async () => {
  const { registry, names, lines } = await watching(demoAdapters);
  const there = await Array.fromAsync(Deno.readDir(demoAdapters), ({ name }) => name);
  assertEquals(names(), there.sort());
  assertEquals(new Set(registry.list().map(({ id }) => id)).size, there.length);
  assertEquals(lines, []);
});

Deno.test("AdapterWatcher follows links, and gives equal files one id", async () => {
  await using directory = await tempDirectory();
  await Deno.symlink(`${demoAdapters}/reverse`, `${directory.path}/a`);
  await Deno.symlink(`${demoAdapters}/reverse`, `${directory.path}/b`);
  await Deno.writeTextFile(`${directory.path}/README.md`, "no adapter");
  const { registry, names } = await watching(directory.path);
  assertEquals(names(), ["a", "b"]);
  assertEquals(registry.get("a")?.id, registry.get("b")?.id);
});

Deno.test("AdapterWatcher tells what it could not take, and takes the rest", async () => {
  await using directory = await tempDirectory();
  await Deno.mkdir(`${directory.path}/empty`);
  await copyAdapter("upper", `${directory.path}/demo`);
  await copyAdapter("upper", `${directory.path}/up,per`);
  await copyAdapter("upper", `${directory.path}/upper`);
  const { names, lines } = await watching(directory.path);
  assertEquals(names(), ["upper"]);
  assertEquals(lines.length, 3);
  assert(lines[0]?.includes(`base model's, received "demo"`), lines[0]);
  assert(lines[1]?.includes(`received ${directory.path}/empty`), lines[1]);
  assert(lines[2]?.includes(`without commas`), lines[2]);
});

Deno.test("AdapterWatcher refuses a directory that is not there", async () => {
  const { registry, desk } = deskOf("/nowhere");
  const print = () => {};
  const parent = "demo";
  const watcher = new AdapterWatcher({ directory: "/nowhere", registry, desk, parent, print });
  await assertRejects(() => watcher.check(), TypeError, 'received "/nowhere"');
});

Deno.test("what is dropped in appears at the second look, and never half written", async () => {
  await using directory = await tempDirectory();
  const { watcher, names } = await watching(directory.path);
  const path = `${directory.path}/reverse`;
  await copyAdapter("reverse", path);
  const whole = await Deno.readFile(`${path}/adapter_model.safetensors`);
  await Deno.writeFile(`${path}/adapter_model.safetensors`, whole.subarray(0, whole.length - 100));
  for (let i = 0; i < 4; i++) await watcher.look();
  assertEquals(names(), [], "its header promises more than there is");
  await Deno.writeFile(`${path}/adapter_model.safetensors`, whole);
  await watcher.look();
  assertEquals(names(), [], "it has just changed");
  await watcher.look();
  assertEquals(names(), ["reverse"]);
});

Deno.test("changed files are another revision under the same name, and what is gone is unloaded", async () => {
  await using directory = await tempDirectory();
  await copyAdapter("reverse", `${directory.path}/a`);
  const { watcher, registry, names, told } = await watching(directory.path);
  const first = registry.get("a")?.id;
  await copyAdapter("upper", `${directory.path}/a`);
  for (let i = 0; i < 2; i++) await watcher.look();
  assert(registry.get("a")?.id !== first);
  await Deno.remove(`${directory.path}/a`, { recursive: true });
  await watcher.look();
  assertEquals(names(), []);
  assertEquals(told.filter(({ kind }) => kind === "unregister").length, 2);
});

Deno.test("a broken adapter is told of once, disturbs no other, and is taken when it is mended (vLLM #11727)", async () => {
  await using directory = await tempDirectory();
  await copyAdapter("reverse", `${directory.path}/good`);
  const { watcher, registry, lines, names } = await watching(directory.path);
  await copyAdapter("upper", `${directory.path}/bad`);
  for (let i = 0; i < 5; i++) await watcher.look();
  assertEquals(lines, ["Cannot load adapter: NaN"]);
  assertEquals(names(), ["good"]);
  await Deno.rename(`${directory.path}/bad`, `${directory.path}/mended`);
  for (let i = 0; i < 2; i++) await watcher.look();
  assertEquals(names(), ["good", "mended"]);
  assertEquals(registry.get("good")?.state.kind, "registered");
});

Deno.test("a directory that cannot be read for a while takes no adapter from those who use it", async () => {
  await using directory = await tempDirectory();
  await copyAdapter("reverse", `${directory.path}/adapters/a`);
  const { watcher, names, lines } = await watching(`${directory.path}/adapters`);
  await Deno.rename(`${directory.path}/adapters`, `${directory.path}/away`);
  for (let i = 0; i < 3; i++) await watcher.look();
  assertEquals(names(), ["a"]);
  assertEquals(lines.length, 1);
});
