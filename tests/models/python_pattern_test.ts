import { assertThrows } from "@std/assert";
import { pythonPattern } from "../../models/python_pattern.ts";

Deno.test("patterns as PEFT and its users write them are taken", () => {
  for (
    const pattern of [
      ".*\\.(q_proj|v_proj)$",
      "(?:.*?(?:language|text).*?(?:self_attn|attention).*?(?:q_proj|k_proj)).*",
      "model\\.layers\\.[\\d]{1,}\\.(?:self_attn|mlp)\\.(?:(?:q_proj|up_proj))",
      "(?:.*?\\.)??(?:layers)\\.(\\d+)\\..*",
      "^(?:model\\.)?layers\\.(1[0-9]|2[0-3])\\..*",
      "(?P<name>x)(?P=name)[a-z(+]+\\)+",
      "(abc)+x",
    ]
  ) pythonPattern(pattern);
});

Deno.test("patterns that may take for ever are refused: a loader matches them, and can do nothing else", () => {
  for (
    const pattern of [
      "(([a-z0-9_]+\\.?)+)+!",
      "(a|a)*b",
      "(?:x+)+y",
      "(a?){30}b",
      "((ab)+c)*d",
      "(?P<n>a+)+b",
      ".*".repeat(6000),
    ]
  ) assertThrows(() => pythonPattern(pattern), SyntaxError);
});
