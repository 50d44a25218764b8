import { assert, assertEquals } from "@std/assert";
import { type PackedPages, pageGeometry } from "../../models/adapter_image.ts";
import { Checkpoint } from "../../models/checkpoint.ts";
import { HEAD_MODULES, LAYER_MODULES, moduleShape } from "../../models/model_config.ts";
import { packAdapter } from "../../models/pack_adapter.ts";
import { loadModelConfig } from "../../models/parse_config.ts";
import { openAdapter } from "../support/open_adapter.ts";
import { SafetensorsFile } from "../../models/safetensors.ts";
import { ARCHITECTURES, goldens } from "../support/goldens.ts";
import { readImage } from "../support/read_image.ts";

type Module = Parameters<typeof moduleShape>[1];
/** What PEFT calls the modules, in this test's own words. */
const PATHS: Readonly<Record<Module, string>> = {
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  o: "self_attn.o_proj",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
  embed: "model.embed_tokens",
  lm_head: "lm_head",
};
const BASE_COPY = /(embed_tokens|lm_head)\.(base_layer\.)?weight$/;

/** A tensor of the adapter's file as rows of numbers, without the product's own widening. */
function rowsOf(file: SafetensorsFile, key: string): number[][] | null {
  const info = file.tensors.get(key);
  if (!info) return null;
  const view = new DataView(new ArrayBuffer(info.bytes));
  file.readInto(key, 0, new Uint8Array(view.buffer));
  const width = info.dtype === "F32" ? 4 : 2;
  const number = (i: number) => {
    if (info.dtype === "F32") return view.getFloat32(i * 4, true);
    if (info.dtype === "F16") return view.getFloat16(i * 2, true);
    const single = new DataView(new ArrayBuffer(4));
    single.setUint16(0, view.getUint16(i * 2, true));
    return single.getFloat32(0);
  };
  const [rows = 1, columns = 1] = info.shape.length === 1 ? [1, info.shape[0]] : info.shape;
  assertEquals(rows * columns * width, info.bytes);
  return Array.from(
    { length: rows },
    (_, r) => Array.from({ length: columns }, (_, c) => number(r * columns + c)),
  );
}

const transposed = (rows: number[][] | null) =>
  rows && (rows[0] ?? []).map((_, c) => rows.map((row) => row[c] ?? NaN));

for (const architecture of ARCHITECTURES) {
  Deno.test(`packAdapter() keeps every number of every adapter that PEFT saved for ${architecture}`, async () => {
    const { directory, cases } = goldens(architecture);
    const config = await loadModelConfig(directory);
    using base = Checkpoint.open(directory);
    const adapters = Object.values(cases).flatMap(({ adapter }) => adapter ?? []);
    assert(adapters.length >= 11);
    for (const adapter of adapters) {
      using file = SafetensorsFile.open(`${directory}/${adapter}/adapter_model.safetensors`);
      using opened = openAdapter(`${directory}/${adapter}`, config, base);
      const image = packAdapter(opened, config, pageGeometry(config.kvHeads, config.headDim));
      const checked = new Set<string>();
      const check = (
        packed: PackedPages | null,
        copy: number,
        modules: readonly Module[],
        prefix: string,
      ) => {
        if (!packed) return;
        const read = readImage(packed, copy, modules, (module) => moduleShape(config, module));
        modules.forEach((module, i) => {
          const key = `base_model.model.${prefix}${PATHS[module]}`;
          const seen = read[i] ?? null;
          const vector = (ending: string) => {
            const rows = rowsOf(file, `${key}.${ending}`);
            if (rows) checked.add(`${key}.${ending}`);
            return rows;
          };
          // 16 bits stay what they are; those of 32 are rounded where the image is f16.
          const matrix = (ending: string) => {
            const rounded = seen?.dtype === "f16";
            return vector(ending)?.map((row) => rounded ? [...Float16Array.from(row)] : row) ??
              null;
          };
          const embed = module === "embed";
          const a = matrix(embed ? "lora_embedding_A" : "lora_A.weight");
          const b = matrix(embed ? "lora_embedding_B" : "lora_B.weight");
          assertEquals<unknown>(
            seen?.a ?? null,
            embed ? transposed(a) : a,
            `${adapter}: A of ${key}`,
          );
          assertEquals<unknown>(seen?.b ?? null, transposed(b), `${adapter}: B of ${key}`);
          assertEquals(
            seen?.bias ?? null,
            vector("lora_B.bias")?.[0] ?? null,
            `${adapter}: bias of ${key}`,
          );
          const gain = vector("lora_magnitude_vector")?.[0] ?? null;
          assertEquals(seen?.gain ?? null, gain, `${adapter}: magnitude of ${key}`);
        });
      };
      for (let i = 0; i < config.layers; i++) {
        check(image.layers, i, LAYER_MODULES, `model.layers.${i}.`);
      }
      check(image.head, 0, HEAD_MODULES, "");
      const due = [...file.tensors.keys()].filter((key) => !BASE_COPY.test(key));
      assertEquals([...checked].sort(), due.sort(), `${adapter}: every tensor is in the image`);
    }
  });
}
