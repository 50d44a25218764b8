import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { z } from "zod";
import { pageGeometry } from "../../models/adapter_image.ts";
import { Checkpoint } from "../../models/checkpoint.ts";
import { packAdapter } from "../../models/pack_adapter.ts";
import { loadModelConfig } from "../../models/parse_config.ts";
import { openPeftAdapter } from "../../models/peft_adapter.ts";
import { ARCHITECTURES, goldenDirectory, goldens } from "../support/goldens.ts";

for (const architecture of ARCHITECTURES) {
  Deno.test(`openPeftAdapter() takes every adapter that PEFT saved for ${architecture}`, async () => {
    const { directory, cases } = goldens(architecture);
    const config = await loadModelConfig(directory);
    using base = Checkpoint.open(directory);
    for (const { adapter } of Object.values(cases)) {
      if (adapter === null) continue;
      using files = openPeftAdapter(`${directory}/${adapter}`, config, base);
      const image = packAdapter(files, config, pageGeometry(config.kvHeads, config.headDim));
      assert(image.maxRank > 0);
    }
  });
}

const Bad = z.object({
  model: z.string(),
  cases: z.record(
    z.string(),
    z.object({ file: z.string(), key: z.string().nullable(), word: z.string() }),
  ),
});
const bad = Bad.parse(JSON.parse(Deno.readTextFileSync(`${goldenDirectory("bad")}/expected.json`)));

for (const [name, { file, key, word }] of Object.entries(bad.cases)) {
  Deno.test(`openPeftAdapter() refuses ${name}, naming file, key and reason`, async () => {
    const directory = goldenDirectory(bad.model);
    const config = await loadModelConfig(directory);
    using base = Checkpoint.open(directory);
    const { message } = assertThrows(() => {
      using files = openPeftAdapter(`${goldenDirectory("bad")}/${name}`, config, base);
      packAdapter(files, config, pageGeometry(config.kvHeads, config.headDim));
    }, Error);
    for (const part of ["Cannot", file, key ?? "", word]) assertStringIncludes(message, part);
  });
}

Deno.test("openPeftAdapter() asks for the config of a directory that has none", async () => {
  const directory = goldenDirectory("llama");
  const config = await loadModelConfig(directory);
  using base = Checkpoint.open(directory);
  assertThrows(() => openPeftAdapter(directory, config, base), TypeError, "adapter_config.json");
  assertEquals(base.find("no.such.tensor"), null);
});
