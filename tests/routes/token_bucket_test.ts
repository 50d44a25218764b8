import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { TokenBucket } from "../../routes/token_bucket.ts";

Deno.test("whoever takes what is there gets a minute's worth at once, and so much a minute after it", () => {
  const times = fc.array(
    fc.tuple(fc.integer({ min: 0, max: 30_000 }), fc.integer({ min: 1, max: 50 })),
  );
  fc.assert(fc.property(times, (steps) => {
    let now = 0;
    let taken = 0;
    const bucket = new TokenBucket(60, () => now);
    for (const [wait, amount] of steps) {
      now += wait;
      if (bucket.until(amount) > 0) continue;
      bucket.take(amount);
      taken += amount;
    }
    assert(taken <= 60 + now / 1000 + 1e-6);
  }));
});

Deno.test("what it says to wait is enough, and a millisecond less is not", () => {
  let now = 0;
  const bucket = new TokenBucket(120, () => now);
  bucket.take(150);
  const wait = bucket.until(30);
  assertAlmostEquals(wait, 30_000);
  now = wait - 1;
  assert(bucket.until(30) > 0);
  now = wait;
  assertAlmostEquals(bucket.until(30), 0, 1e-6);
  assertEquals(bucket.until(121), Infinity);
});

Deno.test("a new bound keeps what was taken", () => {
  const bucket = new TokenBucket(100, () => 0);
  bucket.take(30);
  bucket.perMinute = 50;
  assertEquals(bucket.level, 20);
});
