import { assertEquals, assertThrows } from "@std/assert";
import { Plans } from "../../../actors/batch_former/plans.ts";
import { SequenceState } from "../../../actors/batch_former/sequence_state.ts";
import { UNKNOWN_MEMORY } from "../../../actors/batch_former/unknown_memory.ts";
import type { Grant, Planned } from "../../../actors/memory_manager/protocol.ts";
import { requestId } from "../../../memory/ids.ts";
import { sequenceOf } from "./sequences.ts";

const state = (id: string) => new SequenceState(sequenceOf(id, 4), 0, () => 0);
const waiting = (id: string): Grant => ({ kind: "waiting", request: requestId(id) });
const usage = { ...UNKNOWN_MEMORY.usage, freePages: 7 };
const planned = (plan: number, grants: readonly Grant[]): Planned => ({
  ...{ kind: "planned", plan, grants, usage },
  residency: UNKNOWN_MEMORY.residency,
});

Deno.test("a plan names its sequences until it is answered, and then it is known what memory has", () => {
  const plans = new Plans();
  const [a, b] = [state("a"), state("b")];
  assertEquals([plans.asked, plans.usage.freePages, plans.releases], [null, 0, 0]);
  const plan = plans.ask([a, b], 3);
  assertEquals([plans.asked, a.holds, b.holds], [[a, b], 1, 1]);
  const grants = [waiting("a"), waiting("b")];
  assertEquals(plans.close(planned(plan, grants)), [
    { state: a, grant: grants[0] },
    { state: b, grant: grants[1] },
  ]);
  assertEquals([plans.asked, a.holds, b.holds], [null, 0, 0]);
  assertEquals([plans.usage.freePages, plans.releases], [7, 3]);
});

Deno.test("an answer to another plan, or one that leaves a sequence out, is refused", () => {
  const plans = new Plans();
  const plan = plans.ask([state("a")], 0);
  assertThrows(() => plans.close(planned(plan + 1, [])), Error, "1 is open, received 2");
  assertThrows(() => plans.close(planned(plan, [waiting("b")])), Error, "no answer for a");
  assertThrows(() => plans.close(planned(plan, [])), Error, "undefined is open, received 1");
});
