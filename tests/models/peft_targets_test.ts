import { assertEquals } from "@std/assert";
import { targetMatcher } from "../../models/peft_targets.ts";

/** What PEFT 0.21.2's check_target_module_exists says of layers 0, 1 and 10 and of the two heads. */
const CASES: readonly (readonly [config: Parameters<typeof targetMatcher>[0], targets: string])[] =
  [
    [{ "target_modules": ["q_proj", "v_proj"] }, "0:qv 1:qv 10:qv head:"],
    [{ "target_modules": ["q_proj", "lm_head", "embed_tokens"] }, "0:q 1:q 10:q head:el"],
    [
      { "target_modules": ["self_attn.q_proj", "model.layers.3.mlp.up_proj", "roj"] },
      "0:q 1:q 10:q head:",
    ],
    [
      { "target_modules": ["q_proj", "up_proj"], "layers_to_transform": [1, 10] },
      "0: 1:qu 10:qu head:",
    ],
    [
      { "target_modules": ["q_proj"], "layers_to_transform": 1, "layers_pattern": "layers" },
      "0: 1:q 10: head:",
    ],
    [{
      "target_modules": ["q_proj"],
      "layers_to_transform": [1],
      "layers_pattern": ["blocks", "layers"],
    }, "0: 1:q 10: head:"],
    [
      { "target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": "blocks" },
      "0: 1: 10: head:",
    ],
    [{ "target_modules": ["q_proj"], "layers_to_transform": 0 }, "0:q 1: 10: head:"],
    [{
      "target_modules": ["q_proj", "v_proj"],
      "exclude_modules": ["model.layers.2.self_attn.q_proj", "v_proj"],
    }, "0:q 1:q 10:q head:"],
    [
      { "target_modules": ["q_proj", "v_proj"], "exclude_modules": ".*\\.[02468]\\..*" },
      "0: 1:qv 10:qv head:",
    ],
    [{ "target_modules": ".*\\.(q|up)_proj" }, "0:qu 1:qu 10:qu head:"],
    [{ "target_modules": ".*layers\\.(?P<n>[0-3])\\..*q_proj" }, "0:q 1:q 10: head:"],
    [{ "target_modules": "(?i)MODEL\\.layers\\.\\d+\\.mlp\\.DOWN_proj" }, "0:d 1:d 10:d head:"],
    [{ "target_modules": "\\Amodel\\.layers\\.1\\d\\.mlp\\.up_proj\\Z" }, "0: 1: 10:u head:"],
    [{ "target_modules": "q_proj" }, "0: 1: 10: head:"],
    [{
      "target_modules":
        "(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|up_proj).*?)|(?:\\bmodel\\.layers\\.[\\d]{1,}\\.(?:self_attn|attention|mlp|feed_forward)\\.(?:(?:q_proj|k_proj|up_proj)))",
    }, "0:qku 1:qku 10:qku head:"],
    [
      { "target_modules": "model\\.layers\\.\\d{,1}\\.mlp\\.gate_proj|lm_head" },
      "0:g 1:g 10: head:l",
    ],
  ];
const LETTERS = {
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  o: "self_attn.o_proj",
  g: "mlp.gate_proj",
  u: "mlp.up_proj",
  d: "mlp.down_proj",
};

for (const [config, targets] of CASES) {
  Deno.test(`targetMatcher() targets what PEFT does for ${JSON.stringify(config)}`, () => {
    const wanted = targetMatcher(config) ?? (() => false);
    const layers = [0, 1, 10].map((i) => {
      const modules = Object.entries(LETTERS);
      const found = modules.filter(([, path]) => wanted(`model.layers.${i}.${path}`));
      return `${i}:${found.map(([letter]) => letter).join("")}`;
    });
    const heads = [["e", "model.embed_tokens"], ["l", "lm_head"]] as const;
    const head = heads.filter(([, path]) => wanted(path)).map(([letter]) => letter).join("");
    assertEquals([...layers, `head:${head}`].join(" "), targets);
  });
}

Deno.test("targetMatcher() reads all-linear as PEFT does, and leaves no target_modules to the tensors", () => {
  const all = targetMatcher({ target_modules: "all-linear" });
  const paths = [
    "model.layers.0.mlp.up_proj",
    "model.layers.0.mlp",
    "model.embed_tokens",
    "lm_head",
  ];
  assertEquals(paths.map((path) => all?.(path)), [true, false, false, false]);
  assertEquals(targetMatcher({ target_modules: null }), null);
});
