import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Compiler, shaderText } from "../../kernels/compiler.ts";
import { defineKernel } from "../../kernels/kernel.ts";
import { dispatch, downloadU32, testDevice, upload } from "../support/gpu.ts";

/** y[i] = FACTOR * x[i] + OFFSET, and a function from a shared file. */
const affine = defineKernel({
  name: "test_affine",
  source: `
    @group(0) @binding(0) var<storage, read> x: array<u32>;
    @group(0) @binding(1) var<storage, read_write> y: array<u32>;
    override FACTOR: u32;
    @compute @workgroup_size(COUNT)
    fn main(@builtin(local_invocation_index) i: u32) { y[i] = scaled(x[i]) + OFFSET; }`,
  includes: ["fn scaled(value: u32) -> u32 { return FACTOR * value; }"],
  bindings: { x: "read", y: "read_write" },
  constants: ["FACTOR"],
  header: ["COUNT", "OFFSET"],
});

Deno.test("Compiler compiles kernel, shared files and header into one, bound by name", async () => {
  const run = async (factor: number, offset: number) => {
    const buffers = {
      y: await upload(new Uint32Array(4)),
      x: await upload(Uint32Array.of(0, 1, 2, 3)),
    };
    await dispatch(affine, { FACTOR: factor }, buffers, [1], { COUNT: 4, OFFSET: offset });
    return [...await downloadU32(buffers.y, 4)];
  };
  assertEquals(await run(10, 7), [7, 17, 27, 37]);
  assertEquals(await run(3, 0), [0, 3, 6, 9]);
});

Deno.test("Compiler compiles each specialisation once", async () => {
  const compiler = new Compiler(await testDevice());
  const compile = (FACTOR: number, OFFSET: number) =>
    compiler.compile(affine, { FACTOR }, { COUNT: 4, OFFSET });
  const [first, again, constant, header] = await Promise.all([
    compile(2, 1),
    compile(2, 1),
    compile(3, 1),
    compile(2, 2),
  ]);
  assert(first === again);
  assertEquals(new Set([first, constant, header]).size, 3);
  assertEquals(first?.name, "test_affine");
});

Deno.test("a kernel that does not compile is named, with why and its constants; others are not held up", async () => {
  const compiler = new Compiler(await testDevice());
  const cases = [
    {
      name: "text",
      kernel: { ...affine, name: "bad_text", includes: ["fn scaled() { return nothing; }"] },
    },
    { name: "entry", kernel: { ...affine, name: "bad_entry", source: "override FACTOR: u32;" } },
    {
      name: "binding",
      kernel: { ...affine, name: "bad_binding", bindings: { x: "read", y: "read" } as const },
    },
  ];
  const header = { COUNT: 4, OFFSET: 1 };
  // All at once: an error must not be taken for that of another kernel.
  const good = compiler.compile(affine, { FACTOR: 2 }, header);
  const failures = cases.map(({ kernel }) =>
    assertRejects(() => compiler.compile(kernel, { FACTOR: 5 }, header), SyntaxError)
  );
  const last = compiler.compile(affine, { FACTOR: 4 }, header);
  for (const [i, failure] of failures.entries()) {
    const { message } = await failure;
    assertStringIncludes(message, `Cannot compile kernel ${cases[i]?.kernel.name}: `);
    assertStringIncludes(message, `received constants {"FACTOR":5,"COUNT":4,"OFFSET":1}`);
  }
  assertEquals([(await good).name, (await last).name], ["test_affine", "test_affine"]);
});

Deno.test("shaderText() keeps the kernel's own lines first and names the header value that lacks", () => {
  const text = shaderText(affine, { COUNT: 4, OFFSET: 9 });
  assert(text.startsWith(affine.source));
  assertStringIncludes(text, "const COUNT: u32 = 4u;\nconst OFFSET: u32 = 9u;");
  assertThrows(
    () => shaderText(affine, { COUNT: 4 }),
    TypeError,
    "Cannot compile kernel test_affine: header lacks OFFSET",
  );
});
