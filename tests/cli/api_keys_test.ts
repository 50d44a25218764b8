import { assertEquals, assertRejects } from "@std/assert";
import { readApiKeys } from "../../cli/api_keys.ts";
import { ConfigError } from "../../cli/config.ts";

async function keysOf(text: string, apiKey?: string): Promise<string[]> {
  const apiKeyFile = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(apiKeyFile, text);
    return await readApiKeys({ apiKey, apiKeyFile });
  } finally {
    await Deno.remove(apiKeyFile);
  }
}

Deno.test("readApiKeys() leaves the API open where neither flag nor file is given", async () => {
  assertEquals(await readApiKeys({ apiKey: undefined, apiKeyFile: undefined }), []);
});

Deno.test("readApiKeys() adds the file's keys, one a line, to the flag's", async () => {
  assertEquals(await keysOf("# the team\r\n first \n\nsecond", "flag"), [
    "flag",
    "first",
    "second",
  ]);
});

Deno.test("readApiKeys() does not open the API because a file of keys is empty or missing", async () => {
  await assertRejects(() => keysOf("# none yet\n"), ConfigError, "expected one key a line");
  await assertRejects(
    () => readApiKeys({ apiKey: undefined, apiKeyFile: "/nowhere/keys" }),
    ConfigError,
    "/nowhere/keys",
  );
});
