import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { occurrences, openSlot } from "../../../actors/executor/slots.ts";
import { GREEDY, type SamplingParams } from "../../../actors/sampling.ts";
import { adapterId, requestId, slotId } from "../../../memory/ids.ts";

Deno.test("openSlot() counts occurrences where a penalty is in use, and only there", () => {
  const counted = (sampling: Partial<SamplingParams>) =>
    openSlot(slotId(1), requestId("r"), { ...GREEDY, ...sampling }, []).counted;
  assertEquals(counted({}), false);
  assertEquals(counted({ temperature: 1, topK: 5, logitBias: [[3, 1]] }), false);
  assertEquals(counted({ presencePenalty: -0.5 }), true);
  assertEquals(counted({ frequencyPenalty: 0.1 }), true);
  assertEquals(counted({ repetitionPenalty: 0.9 }), true);
});

Deno.test("openSlot() takes different adapters together, and none of them twice", () => {
  const route = (name: string, weight: number) => ({
    ...{ adapter: adapterId(name), weight, layerPage: null, headPage: null },
    ...{ moduleRanks: [], headRanks: [] },
  });
  const open = (...names: string[]) =>
    openSlot(slotId(1), requestId("r"), GREEDY, names.map((name, i) => route(name, 1 + i)));
  assertEquals(open("a", "b").routes.length, 2);
  const why = "Cannot open slot: expected one route to each adapter, received two to a";
  assertThrows(() => open("a", "b", "a"), RangeError, why);
});

Deno.test("occurrences() says of each token whether the prompt has it and how often it was generated", () => {
  const vocab = 20;
  const tokens = fc.array(fc.nat(vocab - 1), { maxLength: 60 });
  fc.assert(fc.property(tokens, tokens, (prompt, generated) => {
    const counts = occurrences(vocab, prompt, generated);
    assertEquals(counts.length, vocab);
    for (let token = 0; token < vocab; token++) {
      const count = counts[token] ?? 0;
      assertEquals(count >>> 31, Number(prompt.includes(token)));
      assertEquals(count & 0x7fff_ffff, generated.filter((made) => made === token).length);
    }
  }));
});
