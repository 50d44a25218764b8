import { assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { explainError } from "../../cli/explain_error.ts";
import { runMain } from "../support/server.ts";

Deno.test({
  name: "a model in /dev/shm is refused with the reason, which Deno does not give",
  ignore: !existsSync("/dev/shm"),
  fn: async () => {
    const directory = await Deno.makeTempDir({ dir: "/dev/shm" });
    try {
      await Deno.writeTextFile(`${directory}/config.json`, "{}");
      const { code, stderr } = await runMain({ args: ["--model", directory] });
      assertEquals(code, 1);
      assertEquals(
        stderr.trim(),
        "Cannot read the file: Deno lets only a process with all permissions read below /dev, " +
          `/proc and /sys (put it elsewhere), received ${directory}/config.json`,
      );
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test("any other error is told by its own message", () => {
  assertEquals(
    explainError(new TypeError("Cannot do: no, received 1")),
    "Cannot do: no, received 1",
  );
  assertEquals(explainError("text"), "text");
});
