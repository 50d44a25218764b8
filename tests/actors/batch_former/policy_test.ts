import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Candidate, formBatch, pickAdmissions } from "../../../actors/batch_former/policy.ts";

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

const queued = (
  more: { admissible?: boolean; blockedSince?: number | null; ready?: number } = {},
) => ({ admissible: true, blockedSince: null, ready: 10, ...more });
const picked = (
  queue: ReturnType<typeof queued>[],
  slots: number,
  tokens: number,
  bars: (state: typeof queue[number]) => boolean = () => false,
) => pickAdmissions(queue, { slots, tokens }, bars).map((state) => queue.indexOf(state));

Deno.test("pickAdmissions() asks for the first, for as many as there are slots and tokens", () => {
  assertEquals(picked([queued(), queued(), queued()], 2, 100), [0, 1]);
  assertEquals(picked([queued(), queued(), queued()], 9, 11), [0, 1]);
  assertEquals(picked([queued()], 0, 100), []);
});

Deno.test("pickAdmissions() draws no more of the queue than there is room for", () => {
  let drawn = 0;
  function* queue() {
    for (;; drawn++) yield queued();
  }
  assertEquals(pickAdmissions(queue(), { slots: 3, tokens: 100 }, () => false).length, 3);
  assertEquals(drawn, 2);
});

Deno.test("pickAdmissions() looks past a sequence that waits for its adapter", () => {
  assertEquals(picked([queued({ admissible: false }), queued()], 1, 100), [1]);
});

Deno.test("pickAdmissions() asks for one that did not fit beside the others, not in their stead", () => {
  assertEquals(picked([queued({ blockedSince: 5, ready: 900 }), queued()], 1, 10), [0, 1]);
});

Deno.test("pickAdmissions() lets nobody pass one that bars the way until it fits", () => {
  const old = queued({ blockedSince: 5 });
  assertEquals(picked([queued(), old, queued()], 9, 100, (state) => state === old), [0, 1]);
});
