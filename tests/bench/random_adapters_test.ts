import { assert, assertEquals } from "@std/assert";
import { adapterName, writeRandomAdapters } from "../../bench/support/random_adapters.ts";
import { llama8b, writeRandomModel } from "../../bench/support/random_model.ts";
import { adapterDigest } from "../../models/adapter_digest.ts";
import { Checkpoint } from "../../models/checkpoint.ts";
import { parseModelConfig } from "../../models/parse_config.ts";
import { openAdapter } from "../support/open_adapter.ts";
import { halfValues } from "../support/half.ts";

Deno.test("random adapters differ in their bytes, load as PEFT's, and have the ranks in turn", async () => {
  const config = parseModelConfig(llama8b(true), "test");
  const directory = await Deno.makeTempDir();
  try {
    const plan = { count: 5, ranks: [8, 16], modules: ["q", "down"] as const };
    const written = await writeRandomAdapters(directory, config, plan);
    assert(written > 0);
    const digests = new Set<string>();
    await writeRandomModel(`${directory}/model`, llama8b(true));
    using base = Checkpoint.open(`${directory}/model`);
    for (let i = 0; i < plan.count; i++) {
      const path = `${directory}/${adapterName(i)}`;
      digests.add(await adapterDigest(path));
      using adapter = openAdapter(path, config, base);
      for (const modules of adapter.layers) {
        assertEquals(modules.map(({ module }) => module), ["q", "down"]);
        for (const { rank, matrices } of modules) {
          assertEquals(rank, i % 2 === 0 ? 8 : 16);
          const { dtype, a } = matrices();
          const sizes = halfValues(a, dtype).map(Math.abs);
          assert(sizes.every((size) => size > 1e-4 && size < 1e-2));
        }
      }
    }
    assertEquals(digests.size, plan.count);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
