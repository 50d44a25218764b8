import type { Kernel } from "../../kernels/kernel.ts";
import { WEIGHT_DTYPES } from "../../kernels/linear.ts";

const FOLDER = new URL("../../kernels/", import.meta.url);

/** Every contract that a module in kernels/<name>/ exports. */
export async function everyKernel(): Promise<Kernel[]> {
  const kernels: Kernel[] = [];
  for (const folder of Deno.readDirSync(FOLDER)) {
    if (!folder.isDirectory) continue;
    for (const file of Deno.readDirSync(new URL(`${folder.name}/`, FOLDER))) {
      if (!file.name.endsWith(".ts")) continue;
      const exports = await import(new URL(`${folder.name}/${file.name}`, FOLDER).href);
      kernels.push(...Object.values(exports).filter(isKernel));
    }
  }
  return kernels.sort((a, b) => a.name.localeCompare(b.name));
}

function isKernel(value: unknown): value is Kernel {
  return typeof value === "object" && value !== null && "source" in value && "bindings" in value;
}

/** Plausible values of the constants that kernels are specialised by. */
const PLAUSIBLE: Readonly<Record<string, number>> = {
  AHEAD: 2,
  EPS: 1e-5,
  FUSED: 1536,
  FIRST_MODULE: 0,
  HEADS: 8,
  HEAD_DIM: 64,
  HIDDEN: 512,
  IN: 512,
  INTERMEDIATE: 1024,
  KEYS: 32,
  KV_HEADS: 2,
  K_GROUPS: 1,
  LANES: 64,
  MATRIX: 16,
  MODULE: 3,
  MODULES: 3,
  OUT: 768,
  OUT_GROUPS: 2,
  PAGES_PER_BLOCK: 1,
  PAGE_VECS: 512,
  RANKS: 8,
  ROW0: 0,
  ROWS: 8,
  OUTS: 4,
  GROUPS: 2,
  ROW_GROUPS: 2,
  SHRINK_SPLIT: 1,
  SLAB_PAGES: 128,
  SLICE: 64,
  SPLIT: 2,
  SUBGROUP: 32,
  TILE_OUTS: 64,
  TILE_ROWS: 64,
  VOCAB: 1000,
  WINDOW: 0,
  WORKGROUP: 256,
};
/** Those that are true or false. */
const FLAGS = ["BF16", "HEAD_POOL", "QKV_BIAS", "QK_NORM"];
/** The element type of weights: 16 bits, and int8 with the flags set. */
const dtypeOf = (flag: 0 | 1) => flag === 0 ? WEIGHT_DTYPES.f16 : WEIGHT_DTYPES.int8;

/** Values for all constants of `kernel`, its flags all `flag`. */
export function plausibleConstants(kernel: Kernel, flag: 0 | 1) {
  const value = (name: string): number => {
    if (name === "DTYPE") return dtypeOf(flag);
    const known = FLAGS.includes(name) ? flag : PLAUSIBLE[name];
    if (known !== undefined) return known;
    throw new TypeError(
      `Cannot compile ${kernel.name} in the test: no plausible value is known for its constants, ` +
        `received ${name}; add it to tests/support/every_kernel.ts`,
    );
  };
  const values = (names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, value(name)]));
  return { constants: values(kernel.constants), header: values(kernel.header ?? []) };
}
