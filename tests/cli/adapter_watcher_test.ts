import { assert, assertEquals, assertRejects } from "@std/assert";
import type { AdapterRegistry } from "../../actors/request_router/registry.ts";
import { AdapterWatcher } from "../../cli/adapter_watcher.ts";
import { epoch } from "../../memory/ids.ts";
import { copyAdapter, demoAdapters, deskOf, tempDirectory } from "./adapter_fixture.ts";

async function watching(directory: string) {
  const { registry, desk, told } = deskOf(directory);
  const lines: string[] = [];
  const print = (line: string) => lines.push(line);
  const watcher = new AdapterWatcher({
    directory,
    registry,
    desk,
    parent: "demo",
    print,
    retryMs: 0,
  });
  await watcher.start();
  const look = async (times: number) => {
    for (let i = 0; i < times; i++) {
      await watcher.look();
      await watcher.settled();
    }
  };
  const names = () => registry.list().map(({ name }) => name).sort();
  return { watcher, look, registry, lines, names, told };
}

/** The files' digest is known, and the engine is asked. */
async function untilLoading(registry: AdapterRegistry): Promise<void> {
  while (registry.progress.all === 0) await new Promise((resolve) => setTimeout(resolve, 1));
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
  assertEquals(
    lines[0],
    `Cannot register adapter: its name is the base model's, received "demo"`,
  );
  assert(lines[1]?.includes(`received ${directory.path}/empty`), lines[1]);
  assert(lines[2]?.includes(`without commas`), lines[2]);
});

Deno.test("AdapterWatcher tells of a pickle file by its name, and why it is not read", async () => {
  await using directory = await tempDirectory();
  const path = `${directory.path}/old`;
  await copyAdapter("upper", path);
  await Deno.rename(`${path}/adapter_model.safetensors`, `${path}/adapter_model.bin`);
  const { names, lines } = await watching(directory.path);
  assertEquals(names(), []);
  assertEquals(lines, [
    "Cannot register adapter: adapter_model.bin: a pickle file can run code; " +
    `save it as adapter_model.safetensors, received ${path}`,
  ]);
});

Deno.test("AdapterWatcher refuses a directory that is not there", async () => {
  const { registry, desk } = deskOf("/nowhere");
  const print = () => {};
  const parent = "demo";
  const watcher = new AdapterWatcher({ directory: "/nowhere", registry, desk, parent, print });
  await assertRejects(() => watcher.open(), TypeError, 'received "/nowhere"');
});

Deno.test("what is dropped in appears at the second look, and never half written", async () => {
  await using directory = await tempDirectory();
  const { look, names } = await watching(directory.path);
  const path = `${directory.path}/reverse`;
  await copyAdapter("reverse", path);
  const whole = await Deno.readFile(`${path}/adapter_model.safetensors`);
  await Deno.writeFile(`${path}/adapter_model.safetensors`, whole.subarray(0, whole.length - 100));
  await look(4);
  assertEquals(names(), [], "its header promises more than there is");
  await Deno.writeFile(`${path}/adapter_model.safetensors`, whole);
  await look(1);
  assertEquals(names(), [], "it has just changed");
  await look(1);
  assertEquals(names(), ["reverse"]);
});

Deno.test("changed files are another revision under the same name, and what is gone is unloaded", async () => {
  await using directory = await tempDirectory();
  await copyAdapter("reverse", `${directory.path}/a`);
  const { look, registry, names, told } = await watching(directory.path);
  const first = registry.get("a")?.id;
  await copyAdapter("upper", `${directory.path}/a`);
  await look(2);
  assert(registry.get("a")?.id !== first);
  await Deno.remove(`${directory.path}/a`, { recursive: true });
  await look(1);
  assertEquals(names(), []);
  assertEquals(told.filter(({ kind }) => kind === "unregister").length, 2);
});

Deno.test("a broken adapter is told of once, disturbs no other, and is taken when it is mended (vLLM #11727)", async () => {
  await using directory = await tempDirectory();
  await copyAdapter("reverse", `${directory.path}/good`);
  const { look, registry, lines, names } = await watching(directory.path);
  await copyAdapter("upper", `${directory.path}/bad`);
  await look(5);
  assertEquals(lines, ["Cannot load adapter: NaN"]);
  assertEquals(names(), ["good"]);
  await Deno.rename(`${directory.path}/bad`, `${directory.path}/mended`);
  await look(2);
  assertEquals(names(), ["good", "mended"]);
  assertEquals(registry.get("good")?.state.kind, "registered");
});

Deno.test("a directory that cannot be read for a while takes no adapter from those who use it", async () => {
  await using directory = await tempDirectory();
  await copyAdapter("reverse", `${directory.path}/adapters/a`);
  const { look, names, lines } = await watching(`${directory.path}/adapters`);
  await Deno.rename(`${directory.path}/adapters`, `${directory.path}/away`);
  await look(3);
  assertEquals(names(), ["a"]);
  assertEquals(lines.length, 1);
});

Deno.test("an adapter whose files do not come delays no other (SGLang #8162)", async () => {
  await using directory = await tempDirectory();
  const { registry } = deskOf();
  const slow = Promise.withResolvers<null>();
  const loaded: string[] = [];
  const desk = {
    unload: () => Promise.resolve(true),
    replace(name: string) {
      if (name === "slow") return slow.promise;
      loaded.push(name);
      return Promise.resolve(null);
    },
  };
  const print = () => {};
  const parent = "demo";
  const watcher = new AdapterWatcher({ directory: directory.path, registry, desk, parent, print });
  await watcher.start();
  for (const name of ["slow", "then"]) await copyAdapter("reverse", `${directory.path}/${name}`);
  // A pipe in an adapter's place would hold up whoever opens it.
  await Deno.mkdir(`${directory.path}/pipe`);
  for (const file of ["adapter_config.json", "adapter_model.safetensors"]) {
    await new Deno.Command("mkfifo", { args: [`${directory.path}/pipe/${file}`] }).output();
  }
  await watcher.look();
  await watcher.look();
  assertEquals(loaded, ["then"]);
  slow.resolve(null);
  await watcher.settled();
});

Deno.test("files that come long after their directory are found, and so are those that went and came back", async () => {
  await using directory = await tempDirectory();
  await copyAdapter("upper", `${directory.path}/other`);
  const { look, names } = await watching(directory.path);
  // A copy that takes its time, or writes under names of its own until it has ended, as rsync does.
  await Deno.mkdir(`${directory.path}/slow`);
  await look(1);
  const longAgo = Date.now() / 1000 - 60;
  await Deno.utime(directory.path, longAgo, longAgo);
  await look(2);
  await copyAdapter("reverse", `${directory.path}/slow`);
  await look(2);
  assertEquals(names(), ["other", "slow"]);
  await Deno.remove(`${directory.path}/slow/adapter_model.safetensors`);
  await look(2);
  assertEquals(names(), ["other"]);
  await copyAdapter("reverse", `${directory.path}/slow`);
  await look(2);
  assertEquals(names(), ["other", "slow"]);
});

Deno.test("adapters dropped in by the hundred follow each other without another look", async () => {
  await using directory = await tempDirectory();
  const { registry } = deskOf();
  const loaded: string[] = [];
  const gate = Promise.withResolvers<null>();
  const desk = {
    unload: () => Promise.resolve(true),
    replace(name: string) {
      loaded.push(name);
      return gate.promise;
    },
  };
  const print = () => {};
  const parent = "demo";
  const watcher = new AdapterWatcher({ directory: directory.path, registry, desk, parent, print });
  await watcher.start();
  const all = Array.from({ length: 40 }, (_, i) => `a${i}`);
  for (const name of all) await copyAdapter("upper", `${directory.path}/${name}`);
  await watcher.look();
  await watcher.look();
  assert(loaded.length < all.length, "only so many at a time");
  await Deno.remove(`${directory.path}/${all.find((name) => !loaded.includes(name))}`, {
    recursive: true,
  });
  await watcher.look();
  gate.resolve(null);
  await watcher.settled();
  assertEquals(new Set(loaded).size, all.length - 1, "one was gone before its turn");
  assertEquals(loaded.length, all.length - 1);
});

Deno.test("a sub-directory that cannot be looked at keeps no other from being served, nor from being found later", async () => {
  await using directory = await tempDirectory();
  await copyAdapter("upper", `${directory.path}/there`);
  // As with lost+found of a volume's root, which only root may enter, the system refuses to look below it.
  await Deno.symlink(`${directory.path}/loop`, `${directory.path}/loop`);
  const { look, names, lines } = await watching(directory.path);
  assertEquals(names(), ["there"]);
  await copyAdapter("reverse", `${directory.path}/zebra`);
  await look(4);
  assertEquals(names(), ["there", "zebra"]);
  assertEquals(lines.filter((line) => line.includes("/loop")).length, 1, "told once");
  await Deno.remove(`${directory.path}/loop`);
  await copyAdapter("reverse", `${directory.path}/loop`);
  await look(4);
  assertEquals(names(), ["loop", "there", "zebra"]);
});

Deno.test("an adapter that cannot be looked at for a while is not gone", async () => {
  await using directory = await tempDirectory();
  await using elsewhere = await tempDirectory();
  await copyAdapter("upper", `${elsewhere.path}/upper`);
  await Deno.symlink(`${elsewhere.path}/upper`, `${directory.path}/a`);
  const { look, names, lines } = await watching(directory.path);
  await Deno.remove(`${directory.path}/a`);
  await Deno.symlink(`${directory.path}/a`, `${directory.path}/a`);
  await look(3);
  assertEquals(names(), ["a"]);
  assertEquals(lines.length, 1);
  await Deno.remove(`${directory.path}/a`);
  await look(1);
  assertEquals(names(), []);
});

Deno.test("what rsync -a brings is found, though it gives the directory its old time again", async () => {
  await using directory = await tempDirectory();
  await copyAdapter("upper", `${directory.path}/a`);
  const longAgo = Date.now() / 1000 - 3600;
  await Deno.utime(directory.path, longAgo, longAgo);
  const { look, names } = await watching(directory.path);
  await look(2);
  await copyAdapter("reverse", `${directory.path}/b`);
  await Deno.utime(directory.path, longAgo, longAgo);
  await look(2);
  assertEquals(names(), ["a", "b"]);
  await Deno.remove(`${directory.path}/a`, { recursive: true });
  await Deno.utime(directory.path, longAgo, longAgo);
  await look(1);
  assertEquals(names(), ["b"]);
});

Deno.test("a directory removed while it is being loaded leaves no adapter, and the look goes on", async () => {
  await using directory = await tempDirectory();
  const { registry, desk } = deskOf();
  const gate = Promise.withResolvers<void>();
  const print = () => {};
  const parent = "demo";
  const watcher = new AdapterWatcher({ directory: directory.path, registry, desk, parent, print });
  await watcher.start();
  await copyAdapter("reverse", `${directory.path}/a`);
  // The engine has read the files, and its answer is on its way.
  registry.follow((command) => {
    if (command.kind !== "register") return;
    const event = { kind: "adapter_registered", epoch: epoch(1), rank: 8, bytes: 1024 } as const;
    gate.promise.then(() => registry.note({ ...event, adapter: command.adapter }));
  });
  await watcher.look();
  await watcher.look();
  await untilLoading(registry);
  await Deno.remove(`${directory.path}/a`, { recursive: true });
  await watcher.look();
  gate.resolve();
  await watcher.settled();
  assertEquals(registry.list(), []);
});

Deno.test("what could not be read is read again, whether it was there at the start or came later, and what is broken is not", async () => {
  await using directory = await tempDirectory();
  await copyAdapter("upper", `${directory.path}/faint-first`);
  await copyAdapter("sort", `${directory.path}/bad`);
  const { look, registry, told } = await watching(directory.path);
  await Promise.resolve();
  assertEquals(registry.get("faint-first")?.state.kind, "rejected");
  await copyAdapter("reverse", `${directory.path}/faint-later`);
  await look(2);
  assertEquals(registry.get("faint-later"), null);
  await look(4);
  for (const name of ["faint-first", "faint-later"]) {
    assertEquals(registry.get(name)?.state.kind, "registered", name);
  }
  await look(4);
  const reads = told.filter((command) => command.kind === "register").map(({ path }) => path);
  const times = (name: string) => reads.filter((path) => path.endsWith(name)).length;
  assertEquals([times("faint-first"), times("faint-later"), times("bad")], [3, 3, 1]);
});

Deno.test("an adapter that came later, and that the engine can read no more, is read again as others are", async () => {
  await using directory = await tempDirectory();
  const { look, registry, told } = await watching(directory.path);
  await copyAdapter("upper", `${directory.path}/later`);
  await look(2);
  const id = registry.get("later")?.id;
  assert(id && registry.get("later")?.state.kind === "registered");
  const reads = () => told.filter(({ kind }) => kind === "register").length;
  const before = reads();
  await look(2);
  assertEquals(reads(), before);
  const error = "Cannot load adapter: too slow";
  registry.note({ kind: "adapter_rejected", epoch: epoch(2), adapter: id, error, passing: true });
  await look(2);
  assertEquals(registry.get("later")?.state.kind, "registered");
  assertEquals(reads(), before + 1);
});

Deno.test("AdapterWatcher goes on to others where files do not answer, and takes them when they do", async () => {
  await using directory = await tempDirectory();
  for (const name of ["reverse", "upper", "vowels"]) {
    await copyAdapter(name, `${directory.path}/${name}`);
  }
  const { registry, desk } = deskOf(directory.path);
  const lines: string[] = [];
  let answer = Promise.withResolvers<void>();
  const hang = (path: string) => path.endsWith("/upper") ? answer.promise : Promise.resolve();
  const watcher = new AdapterWatcher({
    ...{ directory: directory.path, registry, desk, parent: "demo", retryMs: 0, patienceMs: 30 },
    print: (line) => lines.push(line),
    files: {
      // In memory: what does answer does so before any timer.
      signature: (path) => hang(path).then(() => path),
      digest: (path) => Promise.resolve(path),
      isWhole: () => Promise.resolve(true),
    },
  });
  const names = () => registry.list().map(({ name }) => name).sort();
  await watcher.start();
  assertEquals(names(), ["reverse", "vowels"]);
  await watcher.look(); // does not ask what has not answered again
  assertEquals(lines.length, 1);
  assert(lines[0]?.includes("its files did not answer within 0.03 s"), lines[0]);
  answer.resolve();
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    await watcher.look();
    await watcher.settled();
  }
  assertEquals(names(), ["reverse", "upper", "vowels"]);
  answer = Promise.withResolvers();
  await Deno.remove(`${directory.path}/vowels`, { recursive: true });
  await watcher.look();
  await watcher.settled();
  assertEquals(names(), ["reverse", "upper"]);
  answer.resolve();
});
