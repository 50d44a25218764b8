import { type AdapterImage, pageGeometry } from "../../models/adapter_image.ts";
import { halfWords } from "../../models/half_words.ts";
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
          halfWords(Float32Array.from({ length: count }, () => (Math.random() - 0.5) / 64), "f16");
        const matrices = { dtype: "f16", a: values(rank * input), b: values(rank * out) } as const;
        return {
          module,
          rank,
          scale: 1,
          matrices: () => matrices,
          bias: null,
          magnitude: null,
        };
      }),
  );
  const adapter = { source: "bench", layers, head: [], [Symbol.dispose]: () => {} };
  return packAdapter(adapter, config, pageGeometry(config.kvHeads, config.headDim));
}
