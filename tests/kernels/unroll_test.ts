import { assertEquals, assertThrows } from "@std/assert";
import { unroll } from "../../kernels/unroll.ts";

Deno.test("unroll() writes a loop out as often as its count says", () => {
  const text = "a\n  #for i in N\n  b{i} = {i}u;\n  #end\nc";
  assertEquals(unroll(text, { N: 2 }), "a\n  b0 = 0u;\n  b1 = 1u;\nc");
  assertEquals(unroll(text, { N: 0 }), "a\nc");
  assertEquals(unroll("#for k in 3\n{k}\n#end", {}), "0\n1\n2");
});

Deno.test("unroll() nests, the inner loop once for each turn of the outer", () => {
  const text = "#for i in A\n#for j in B\nx{i}_{j}\n#end\n#end";
  assertEquals(unroll(text, { A: 2, B: 2 }), "x0_0\nx0_1\nx1_0\nx1_1");
});

Deno.test("unroll() leaves a text without loops as it is", () => {
  const text = "fn f() { if (x) { y } }\n// {i}";
  assertEquals(unroll(text, {}), text);
});

Deno.test("unroll() names the line of what it cannot close or count", () => {
  assertThrows(() => unroll("x\n#for i in N", { N: 1 }), SyntaxError, "line 2: #for i in N");
  assertThrows(() => unroll("#for i in N\n#end", {}), SyntaxError, "no count is named N");
  assertThrows(() => unroll("#for i in N\n#end", { N: 0.5 }), SyntaxError, "N is 0.5, no whole");
  assertThrows(() => unroll("x\n#end", {}), SyntaxError, "#end closes no loop, received line 2");
});
