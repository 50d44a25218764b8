import { assert, assertEquals, assertRejects } from "@std/assert";
import { Compiler, shaderText } from "../../kernels/compiler.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { everyKernel, plausibleConstants } from "../support/every_kernel.ts";
import { testCompiler } from "../support/gpu.ts";

/** Dawn frees what JavaScript no longer refers to, though it is still in use: these stay for good. */
const alive: unknown[] = [];

/** A device of Dawn's null backend: Tint's checks without a GPU, with the limits every WebGPU has. */
async function nullDevice(): Promise<GPUDevice> {
  const { create } = await import("webgpu");
  const gpu = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]) as GPU;
  alive.push(gpu);
  const adapter = await gpu.requestAdapter();
  assert(adapter);
  alive.push(adapter);
  const wanted = kernels.flatMap((kernel) => kernel.features ?? []) as GPUFeatureName[];
  const device = await adapter.requestDevice({ requiredFeatures: [...new Set(wanted)] });
  alive.push(device);
  return device;
}

const kernels = await everyKernel();
const under = await testCompiler();
const dawn = await nullDevice();
const device = { gpu: dawn, matrices: null, compilations: 1, pace: null };

/** Kernels with more workgroup memory, or with matrices, than the null backend has. */
const TOO_WIDE = ["attention_prefill", "attention_prefill_matrix", "linear_matrix", "linear_tiles"];

/** Kernels with more bindings than the null backend offers. */
const TOO_BOUND = ["rope_kv"];

async function compile(compiler: Compiler, kernel: Kernel): Promise<void> {
  for (const flag of [0, 1] as const) {
    const { constants, header } = plausibleConstants(kernel, flag);
    const { size: MATRIX, subgroup: SUBGROUP } = compiler.matrices ?? {};
    const own = "MATRIX" in header && MATRIX && SUBGROUP ? { MATRIX, SUBGROUP } : {};
    await compiler.compile(kernel, constants, { ...header, ...own });
  }
}

Deno.test("every kernel is found, under a name of its own", () => {
  const names = kernels.map((kernel) => kernel.name);
  assert(names.includes("sample") && names.includes("rope_kv"));
  assertEquals(new Set(names).size, names.length);
});

Deno.test("the kernels that the null backend has too few bindings for are those known to be", () => {
  const most = dawn.limits.maxStorageBuffersPerShaderStage;
  const bound = kernels.filter(({ bindings }) => Object.keys(bindings).length > most);
  assertEquals(bound.map(({ name }) => name).sort(), TOO_BOUND);
});

for (const kernel of kernels) {
  Deno.test(`${kernel.name} compiles under Tint without a warning`, async () => {
    for (const flag of [0, 1] as const) {
      const { header } = plausibleConstants(kernel, flag);
      const module = dawn.createShaderModule({ code: shaderText(kernel, header) });
      const { messages } = await module.getCompilationInfo();
      assertEquals(messages.map((message) => `${message.lineNum}: ${message.message}`), []);
    }
    // Of these the text was checked above all the same.
    if ([...TOO_WIDE, ...TOO_BOUND].includes(kernel.name)) return;
    await compile(new Compiler(device), kernel);
  });

  Deno.test({
    name: `${kernel.name} compiles on the device under test`,
    ignore: kernel.features?.some((feature) => !under.features.has(feature)) ?? false,
    fn: () => compile(under, kernel),
  });
}

Deno.test("Tint refuses what naga lets pass: a barrier that not all invocations reach", async () => {
  const kernel: Kernel = {
    name: "divergent",
    source: `@compute @workgroup_size(64)
      fn main(@builtin(local_invocation_index) lane: u32) { if (lane < 3u) { workgroupBarrier(); } }`,
    includes: [],
    bindings: {},
    constants: [],
  };
  await assertRejects(
    () => new Compiler(device).compile(kernel, {}),
    SyntaxError,
    "uniform",
  );
});
