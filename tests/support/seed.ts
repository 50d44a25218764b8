// Loaded before the tests: with CHORUS_TEST_SEED the property tests try the same examples in every run, so that
// what CI says of a commit does not change from run to run; without it they try others each time.
import fc from "fast-check";

const seed = Deno.env.get("CHORUS_TEST_SEED");
if (seed) fc.configureGlobal({ seed: Number(seed) });
