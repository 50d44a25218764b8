import { z } from "zod";

const whole = z.string().regex(/^\d+$/, "expected a whole number").transform(Number);
/** A whole number in these bounds. */
export const count = (least: number, most = Number.MAX_SAFE_INTEGER) =>
  whole.pipe(
    z.number().min(least, `expected at least ${least}`).max(most, `expected at most ${most}`),
  );

/** Seconds, zero or more. */
export const seconds = z.string().regex(/^\d+(\.\d+)?$/, "expected a number of seconds").transform(
  Number,
);
