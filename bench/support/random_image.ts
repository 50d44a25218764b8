import { type AdapterImage, pageGeometry } from "../../models/adapter_image.ts";
import {
  LAYER_MODULES,
  type LayerModule,
  type ModelConfig,
  moduleShape,
} from "../../models/model_config.ts";
import { packAdapter } from "../../models/pack_adapter.ts";
import type { PeftModule } from "../../models/peft_adapter.ts";

/** A random adapter, packed as the loader packs one. */
export function randomImage(
  config: ModelConfig,
  rank: number,
  modules: readonly LayerModule[],
): AdapterImage {
  const layers = Array.from(
    { length: config.layers },
    () =>
      LAYER_MODULES.filter((module) => modules.includes(module)).map((module): PeftModule => {
        const [out, input] = moduleShape(config, module);
        const values = (count: number) =>
          Float32Array.from({ length: count }, () => (Math.random() - 0.5) / 64);
        const a = values(rank * input);
        const b = values(rank * out);
        return {
          module,
          rank,
          scale: 1,
          dtype: "f16",
          a: () => a,
          b: () => b,
          bias: () => null,
          magnitude: () => null,
        };
      }),
  );
  const adapter = { source: "bench", layers, head: [], [Symbol.dispose]: () => {} };
  return packAdapter(adapter, config, pageGeometry(config.kvHeads, config.headDim));
}
