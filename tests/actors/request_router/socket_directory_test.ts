import { assert, assertEquals, assertRejects } from "@std/assert";
import { makeSocketDirectory, socketIn } from "../../../actors/request_router/socket_directory.ts";
import { epoch } from "../../../memory/ids.ts";

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

Deno.test("makeSocketDirectory() refuses a parent whose sockets' paths would be longer than macOS has room for", async () => {
  const parent = await Deno.makeTempDir({ dir: "/tmp" });
  try {
    const longest = `${parent}/`.padEnd(103 - 43, "x");
    await Deno.mkdir(longest);
    for (let tries = 0; tries < 20; tries++) {
      const socket = socketIn(await makeSocketDirectory(longest), epoch(999_999));
      assert(socket.length <= 103, socket);
    }
    // The last letter takes two bytes.
    const error = await assertRejects(() => makeSocketDirectory(longest.replace(/x$/, "é")));
    assertEquals(
      (error as Error).message,
      "Cannot put the engine's socket where TMPDIR says: its path would have 104 bytes and may have 103, " +
        `received ${longest.replace(/x$/, "é")}`,
    );
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});
