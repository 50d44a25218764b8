import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { listAdapters } from "../../cli/adapter_directory.ts";

const demo = fileURLToPath(new URL("../../models/demo/adapters", import.meta.url));

Deno.test("listAdapters() names adapters after their directories, and knows them by their content", async () => {
  const { entries, problems } = await listAdapters(demo, "demo");
  assertEquals(problems, []);
  const names = (await Array.fromAsync(Deno.readDir(demo), ({ name }) => name)).sort();
  assertEquals(entries.map(({ name }) => name), names);
  assertEquals(new Set(entries.map(({ id }) => id)).size, names.length);
  assertEquals(entries.every(({ path, name }) => path === `${demo}/${name}`), true);
});

Deno.test("listAdapters() follows links, and gives equal files one id", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.symlink(`${demo}/reverse`, `${directory}/a`);
    await Deno.symlink(`${demo}/reverse`, `${directory}/b`);
    await Deno.writeTextFile(`${directory}/README.md`, "no adapter");
    const { entries, problems } = await listAdapters(directory, "demo");
    assertEquals(entries.map(({ name }) => name), ["a", "b"]);
    assertEquals(entries[0]?.id, entries[1]?.id);
    assertEquals(problems, []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("listAdapters() tells what it could not take, and takes the rest", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${directory}/empty`);
    await Deno.symlink(`${demo}/upper`, `${directory}/demo`);
    await Deno.symlink(`${demo}/upper`, `${directory}/upper`);
    const { entries, problems } = await listAdapters(directory, "demo");
    assertEquals(entries.map(({ name }) => name), ["upper"]);
    assertEquals(problems.length, 2);
    assertStringIncludes(problems[0] ?? "", `base model's, received ${directory}/demo`);
    assertStringIncludes(problems[1] ?? "", `received ${directory}/empty`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("listAdapters() refuses a directory that is not there", async () => {
  await assertRejects(() => listAdapters("/nowhere", "demo"), TypeError, 'received "/nowhere"');
});
