import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { adapterDigest } from "../../models/adapter_digest.ts";

Deno.test("adapterDigest() tells adapters apart by every byte of both files, not by their names", async () => {
  const root = await Deno.makeTempDir();
  const write = async (name: string, config: string, weights: Uint8Array) => {
    await Deno.mkdir(`${root}/${name}`, { recursive: true });
    await Deno.writeTextFile(`${root}/${name}/adapter_config.json`, config);
    await Deno.writeFile(`${root}/${name}/adapter_model.safetensors`, weights);
    return await adapterDigest(`${root}/${name}`);
  };
  try {
    // Longer than one read, and different in the last byte alone.
    const long = new Uint8Array(3 * 2 ** 20 + 1);
    const changed = long.with(long.length - 1, 1);
    const digest = await write("a", "{}", long);
    assertEquals(await write("b", "{}", long), digest);
    assertEquals(/^[0-9a-f]{64}$/.test(digest), true);
    assertNotEquals(await write("a", "{}", changed), digest);
    assertNotEquals(await write("a", "{ }", long), digest);
    // The border between the files counts.
    const [one, other] = [
      await write("a", "{}a", new Uint8Array()),
      await write("a", "{}", Uint8Array.of(97)),
    ];
    assertNotEquals(one, other);
    await Deno.remove(`${root}/a/adapter_model.safetensors`);
    await assertRejects(() => adapterDigest(`${root}/a`), Deno.errors.NotFound);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
