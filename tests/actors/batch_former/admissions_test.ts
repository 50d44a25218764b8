import { assertEquals } from "@std/assert";
import { Admissions } from "../../../actors/batch_former/admissions.ts";
import { Roster } from "../../../actors/batch_former/roster.ts";
import { SequenceState } from "../../../actors/batch_former/sequence_state.ts";
import { POLICY_DEFAULTS } from "../../../actors/policy_options.ts";
import { sequenceOf } from "./sequences.ts";

Deno.test("a queue as long as operators may allow is drawn from, and ends no engine", () => {
  const clock = () => 0;
  const roster = new Roster(4, clock);
  const admissions = new Admissions(roster, POLICY_DEFAULTS, 64);
  for (let i = 0; i < 200_000; i++) {
    admissions.add(new SequenceState(sequenceOf(`r${i}`, 1), i, clock), clock());
  }
  const { picks } = admissions.draw(0);
  assertEquals(picks.map(({ arrival }) => arrival), [0, 1, 2, 3]);
});
