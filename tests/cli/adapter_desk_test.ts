import { assert, assertEquals } from "@std/assert";
import { copyAdapter, deskOf, tempDirectory } from "./adapter_fixture.ts";

Deno.test("AdapterDesk loads what lies below its roots, by absolute and relative paths", async () => {
  await using root = await tempDirectory();
  await copyAdapter("reverse", `${root.path}/one`);
  await copyAdapter("upper", `${root.path}/two`);
  const { desk, registry } = deskOf(root.path);
  assertEquals(await desk.load("one", `${root.path}/one`, false), null);
  assertEquals(await desk.load("two", "two", false), null);
  assertEquals(registry.get("two")?.path, `${root.path}/two`);
  const [one] = await desk.list();
  assert(one);
  const { revision, ...rest } = one;
  assertEquals(revision.length, 64);
  assertEquals(rest, {
    name: "one",
    parent: "demo",
    path: `${root.path}/one`,
    readFrom: `${root.path}/one`,
    state: "host",
    error: null,
    rank: 8,
    bytes: 1024,
    requests: { running: 0, waiting: 0 },
  });
});

Deno.test("AdapterDesk loads nothing from outside its roots, and does not tell what is there (SGLang #27315)", async () => {
  await using root = await tempDirectory();
  await using outside = await tempDirectory();
  await copyAdapter("reverse", `${outside.path}/secret`);
  await Deno.symlink(`${outside.path}/secret`, `${root.path}/link`);
  await Deno.symlink(`${root.path}/loop`, `${root.path}/loop`);
  await Deno.writeTextFile(`${root.path}/file`, "");
  const { desk, registry } = deskOf(root.path);
  const paths = [
    `${outside.path}/secret`,
    `${outside.path}/nothing`,
    `${root.path}/link`,
    `${root.path}/../${outside.path.split("/").pop()}/secret`,
    root.path,
    "",
    "/etc",
    `${root.path}/file/below`,
    `${root.path}/loop`,
    `${root.path}/a\0b`,
    `${root.path}/${"long".repeat(100)}`,
  ];
  for (const path of paths) {
    assertEquals(await desk.load("a", path, false), {
      kind: "not_found",
      why: `No adapter found for ${path}: expected a directory below one of the adapter roots.`,
    });
  }
  assertEquals(registry.list(), []);
});

Deno.test("AdapterDesk names files by the root that the engine may read, where that is a link", async () => {
  await using there = await tempDirectory();
  await using links = await tempDirectory();
  await copyAdapter("reverse", `${there.path}/one`);
  await Deno.symlink(there.path, `${links.path}/root`);
  const { desk, registry } = deskOf(`${links.path}/root`);
  for (const path of ["one", `${there.path}/one`, `${links.path}/root/one`]) {
    assertEquals(await desk.load("a", path, true), null);
    assertEquals(registry.get("a")?.path, `${links.path}/root/one`);
  }
});

Deno.test("AdapterDesk loads from below directories with dots, as Kubernetes mounts volumes", async () => {
  await using root = await tempDirectory();
  await copyAdapter("reverse", `${root.path}/..2026_11_23/mine`);
  await Deno.symlink("..2026_11_23", `${root.path}/..data`);
  await Deno.symlink("..data/mine", `${root.path}/mine`);
  const { desk } = deskOf(root.path);
  assertEquals(await desk.load("mine", "mine", false), null);
});

Deno.test("AdapterDesk replaces a name only where it is told to, and keeps it where the new files are refused", async () => {
  await using root = await tempDirectory();
  await copyAdapter("reverse", `${root.path}/old`);
  await copyAdapter("upper", `${root.path}/new`);
  await copyAdapter("sort", `${root.path}/bad`);
  const { desk, registry } = deskOf(root.path);
  await desk.load("a", "old", false);
  const old = registry.get("a")?.id;
  assertEquals((await desk.load("a", "new", false))?.kind, "exists");
  assertEquals(await desk.load("a", "bad", true), {
    kind: "invalid",
    why: "Cannot load adapter: NaN",
  });
  assertEquals(registry.get("a")?.id, old);
  assertEquals(await desk.load("a", "new", true), null);
  assert(registry.get("a")?.id !== old);
});

Deno.test("AdapterDesk reads files once for a name that is loaded in place again and again (vLLM #36373, #41482)", async () => {
  await using root = await tempDirectory();
  await copyAdapter("reverse", `${root.path}/a`);
  const { desk, told } = deskOf(root.path);
  for (let i = 0; i < 3; i++) assertEquals(await desk.load("a", "a", true), null);
  assertEquals(told.map(({ kind }) => kind), ["register"]);
});

Deno.test("changes of one name happen in the order in which they were asked for", async () => {
  await using root = await tempDirectory();
  await copyAdapter("reverse", `${root.path}/one`);
  await copyAdapter("upper", `${root.path}/two`);
  const { desk, registry } = deskOf(root.path);
  const answers = await Promise.all([
    desk.load("a", "one", false),
    desk.unload("a"),
    desk.load("a", "two", false),
    desk.unload("nobody"),
  ]);
  assertEquals(answers, [null, true, null, false]);
  assertEquals(registry.get("a")?.path, `${root.path}/two`);
});

Deno.test("unloading tells the engine, so that memory is given back (vLLM #42207, vLLM #42633, vLLM #54839)", async () => {
  await using root = await tempDirectory();
  await copyAdapter("reverse", `${root.path}/a`);
  const { desk, registry, told } = deskOf(root.path);
  await desk.load("a", "a", false);
  const id = registry.get("a")?.id;
  assert(id);
  assertEquals(await desk.unload("a"), true);
  assertEquals(told.at(-1), { kind: "unregister", adapter: id });
  assertEquals(await desk.list(), []);
});

Deno.test("AdapterDesk tells where the files of a name are read, which may be another name's directory", async () => {
  await using root = await tempDirectory();
  for (const name of ["a", "b"]) await copyAdapter("upper", `${root.path}/${name}`);
  const { desk } = deskOf(root.path);
  for (const name of ["a", "b"]) await desk.load(name, `${root.path}/${name}`, false);
  const listed = (await desk.list()).map(({ name, path, readFrom }) => [name, path, readFrom]);
  const [a, b] = [`${root.path}/a`, `${root.path}/b`];
  assertEquals(listed, [["a", a, a], ["b", b, a]]);
});
