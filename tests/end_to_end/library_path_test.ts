import { assertEquals } from "@std/assert";
import { startServer } from "../support/server.ts";

Deno.test("the server starts its engine where LD_LIBRARY_PATH is set, as GPU hosts have it", async () => {
  Deno.env.set("LD_LIBRARY_PATH", "/usr/lib");
  try {
    await using server = await startServer();
    const response = await fetch(`${server.url}/health`);
    assertEquals([response.status, await response.json()], [200, { status: "ok" }]);
  } finally {
    Deno.env.delete("LD_LIBRARY_PATH");
  }
});
