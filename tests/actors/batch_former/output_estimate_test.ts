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

Deno.test("requests that may take next to nothing, as those that only score a prompt, tell little of those that may take much", () => {
  const estimate = new OutputEstimate(true);
  for (let i = 0; i < 400; i++) {
    if (i % 10 === 0) estimate.add(100, 2048);
    else estimate.add(1, 1);
  }
  assert(estimate.share < 0.1, `${estimate.share} of 2048 tokens are counted on, 100 are taken`);
});
