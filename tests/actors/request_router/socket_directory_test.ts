import { assertEquals, assertRejects } from "@std/assert";
import { makeSocketDirectory } from "../../../actors/request_router/socket_directory.ts";

Deno.test("makeSocketDirectory() makes a directory of its own, for this user alone", async () => {
  const parent = await Deno.makeTempDir();
  try {
    const [one, other] = [await makeSocketDirectory(parent), await makeSocketDirectory(parent)];
    assertEquals(new Set([one, other]).size, 2);
    assertEquals(((await Deno.stat(one)).mode ?? 0) & 0o777, 0o700);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});

Deno.test("makeSocketDirectory() names TMPDIR and what it says where there is no such directory", async () => {
  const error = await assertRejects(() => makeSocketDirectory("/nowhere"), Error);
  assertEquals(
    error.message,
    "Cannot make a directory for the engine's socket where TMPDIR says: " +
      "No such file or directory (os error 2), received /nowhere",
  );
});
