import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Candidate, formBatch } from "../../../actors/batch_former/form_batch.ts";

const decoding = (): Candidate => ({ phase: "decoding", ready: 1, reportsPrompt: false });
const prompt = (ready: number, reportsPrompt = false): Candidate => ({
  phase: "prefilling",
  ready,
  reportsPrompt,
});
const counts = (candidates: readonly Candidate[], tokens: number, logitRows = 100) =>
  formBatch(candidates, { tokens, logitRows }).map((pick) => [
    candidates.indexOf(pick.candidate),
    pick.tokens,
  ]);

Deno.test("formBatch() gives each decoding sequence its token before any prompt gets the rest", () => {
  assertEquals(counts([prompt(50), decoding(), prompt(50), decoding()], 40), [[1, 1], [3, 1], [
    0,
    38,
  ]]);
});

Deno.test("formBatch() fills the step with chunks of several prompts", () => {
  assertEquals(counts([prompt(10), prompt(20), prompt(30)], 40), [[0, 10], [1, 20], [2, 10]]);
});

Deno.test("formBatch() counts a row of logits for each prompt token that is reported", () => {
  assertEquals(counts([decoding(), prompt(50, true), prompt(50)], 100, 9), [[0, 1], [1, 8]]);
});

Deno.test("formBatch() passes over sequences that have nothing to do", () => {
  assertEquals(counts([{ ...decoding(), ready: 0 }, prompt(3)], 10), [[1, 3]]);
});

Deno.test("formBatch() never exceeds its room and never leaves out a decoding sequence that fits", () => {
  const candidate = fc.record({
    phase: fc.constantFrom("prefilling" as const, "decoding" as const),
    ready: fc.nat({ max: 40 }),
    reportsPrompt: fc.boolean(),
  }).map((candidate) => candidate.phase === "decoding" ? decoding() : candidate);
  const nat = fc.nat({ max: 60 });
  fc.assert(fc.property(fc.array(candidate), nat, nat, (candidates, tokens, logitRows) => {
    const picks = formBatch(candidates, { tokens, logitRows });
    const sum = picks.reduce((total, pick) => total + pick.tokens, 0);
    const logits = picks.reduce((n, p) => n + (p.candidate.reportsPrompt ? p.tokens : 1), 0);
    assert(sum <= tokens && logits <= logitRows);
    const decoders = candidates.filter(({ phase }) => phase === "decoding").length;
    const picked = picks.filter(({ candidate }) => candidate.phase === "decoding").length;
    assertEquals(picked, Math.min(decoders, tokens, logitRows));
  }));
});
