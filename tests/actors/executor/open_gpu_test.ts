import { assert, assertEquals } from "@std/assert";
import { matricesMultiply } from "../../../actors/executor/matrix_self_test.ts";
import { openGpu } from "../../../actors/executor/open_gpu.ts";
import { Compiler } from "../../../kernels/compiler.ts";
import { testCompiler, testDevice } from "../../support/gpu.ts";

const { matrices } = await testDevice();

Deno.test("auto opens Dawn where it has matrix units that count, else Deno's own WebGPU", async () => {
  const device = await openGpu("auto", { softwareMatrices: true });
  assertEquals(device.provider, device.matrices ? "dawn" : "builtin");
  // What the suite runs through has them: so has what auto finds.
  if (matrices) assertEquals(device.provider, "dawn");
  if (device.software) assertEquals((await openGpu("auto")).provider, "builtin");
});

Deno.test({
  name:
    "matrix units pass their test as they are, and fail it where one number in a thousand is off",
  ignore: !matrices,
  fn: async () => {
    const [device, compiler] = [await testDevice(), await testCompiler()];
    assert(await matricesMultiply(device, compiler));
    const broken = Object.create(compiler, {
      compile: {
        value: (...[kernel, constants, header]: Parameters<Compiler["compile"]>) => {
          const source = kernel.source.replace("staged[WS +", "staged[WS + u32(lane == 5u) +");
          assert(source !== kernel.source);
          return new Compiler(device).compile({ ...kernel, source }, constants, header);
        },
      },
      matrices: { value: compiler.matrices },
      workgroupBytes: { value: compiler.workgroupBytes },
      lanes: { value: compiler.lanes },
    }) as Compiler;
    assert(!await matricesMultiply(device, broken));
  },
});
