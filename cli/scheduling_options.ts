import { z } from "zod";
import { POLICY_NAMES } from "../actors/policy_options.ts";
import { count, seconds } from "./option_schemas.ts";

/** Options that say who runs when there is not room for all: docs/scheduling.md. */
export const SCHEDULING_OPTIONS = {
  policy: {
    flag: "--policy <names>",
    about:
      "who runs when there is not room for all, the deciding one first: fcfs, priority, vtc, " +
      "abort, cluster, or several as in vtc,abort (docs/scheduling.md)",
    fallback: "fcfs",
    schema: z.string().transform((text) => text.split(",").map((name) => name.trim())).pipe(
      z.array(z.enum(POLICY_NAMES, { message: `expected names out of ${POLICY_NAMES.join(", ")}` }))
        .refine((names) => new Set(names).size === names.length, "expected each name once"),
    ),
  },
  overCommit: {
    flag: "--over-commit <factor>",
    about:
      "admit as if requests took 1/factor of the output that they may still take; at 1 hardly anybody " +
      "ever has to give up its pages and be computed again; auto learns from those that ended",
    fallback: "auto",
    schema: z.string().regex(/^(auto|\d+(\.\d+)?)$/, "expected auto or a number such as 1.5")
      .transform((text) => text === "auto" ? null : Number(text))
      .pipe(z.number().min(1, "expected at least 1").nullable()),
  },
  agingSeconds: {
    flag: "--aging-seconds <seconds>",
    about: "how long others may pass a request that does not fit, or that clustering holds up",
    fallback: "5",
    schema: seconds,
  },
  sloSeconds: {
    flag: "--slo-seconds <seconds>",
    about: "time to the first token that abort keeps to: who cannot have it gets 503 (abort)",
    fallback: "6",
    schema: seconds.pipe(z.number().positive("expected more than 0 seconds")),
  },
  clusterAdapters: {
    flag: "--cluster-adapters <adapters>",
    about: "distinct adapters of a batch from which on it prefers requests for those (cluster)",
    fallback: "8",
    schema: count(1),
  },
  tokenPrices: {
    flag: "--token-prices <prompt,output>",
    about: "what a token of a prompt and of output counts in a fair share (vtc)",
    fallback: "1,2",
    schema: z.string().regex(/^\d+(\.\d+)?,\d+(\.\d+)?$/, "expected two numbers such as 1,2")
      .transform((text) => {
        const [prompt = 1, output = 1] = text.split(",").map(Number);
        return { prompt, output };
      }),
  },
  adapterWeights: {
    flag: "--adapter-weights <name=weight,...>",
    about: "fair shares of adapters, 1 where not named (vtc); tenants' are in their file",
    fallback: "",
    schema: z.string().transform((text) =>
      text.split(",").map((part) => part.trim()).filter((part) => part !== "").map(
        (part): [string, number] => {
          const at = part.lastIndexOf("=");
          return [part.slice(0, at), Number(part.slice(at + 1) || NaN)];
        },
      )
    ).refine(
      (pairs) => pairs.every(([name, weight]) => name !== "" && weight > 0 && weight < Infinity),
      "expected names and weights above 0 such as upper=2,lower=0.5",
    ).transform((pairs) => new Map(pairs)),
  },
} as const;
