import { assert, assertEquals } from "@std/assert";
import { OutputEstimate } from "../../../actors/batch_former/output_estimate.ts";

Deno.test("the estimate comes to what sequences take of what they may", () => {
  for (const share of [0.05, 1]) {
    const estimate = new OutputEstimate(true);
    for (let i = 0; i < 200; i++) estimate.add(share * 1000, 1000);
    assert(Math.abs(estimate.share - share) < 0.01, `${estimate.share}`);
  }
});

Deno.test("without learning all that is allowed is counted on", () => {
  const estimate = new OutputEstimate(false);
  estimate.add(1, 1000);
  assertEquals(estimate.share, 1);
});
