import type { MiddlewareHandler } from "hono";
import { Problem } from "./problem.ts";

/** Values in a body, of which numbers count a quarter: prompts may be lists of token ids. */
const MOST = 65_536;

/**
 * Refuses bodies of so many values that checking them would hold up everybody else: schemas look at each, and gather
 * what is wrong with each. What is no JSON is left to who parses it.
 */
export const jsonBounds: MiddlewareHandler = async (c, next) => {
  // A value and what parts it from the next are two characters at least: most bodies need no look.
  if (c.req.method === "POST" && (await c.req.text()).length > 2 * MOST) {
    const body: unknown = await c.req.json().catch(() => null);
    if (weight(body) > MOST) {
      const why = `expected at most ${MOST} values in it, a number counting a quarter`;
      throw new Problem("invalid_parameter", `The request's body is too complex: ${why}.`);
    }
  }
  await next();
};

/** Values in `body`, counted until there are too many. */
function weight(body: unknown): number {
  let sum = 0;
  const rest: unknown[] = [body];
  while (rest.length > 0 && sum <= MOST) {
    const value = rest.pop();
    sum += typeof value === "number" ? 0.25 : 1;
    if (typeof value !== "object" || value === null) continue;
    const inside = Array.isArray(value) ? value : Object.values(value);
    if (inside.length / 4 > MOST) return Infinity;
    for (const each of inside) rest.push(each);
  }
  return sum;
}
