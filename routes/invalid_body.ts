import { Problem } from "./problem.ts";

interface Issue {
  readonly code: string;
  readonly message: string;
  readonly path: readonly PropertyKey[];
  readonly keys?: readonly string[];
}

/** What zod's own messages begin with, and end with where it is the type that is wrong: ours say both themselves. */
const SORT = /^(Invalid|Too) \w+: (?=expected )/;
const TYPE = /, received \w+$/;

/** The problem behind the first thing that zod found wrong in `body`: the parameter, why, and what it was. */
export function problemOfIssues(issues: readonly Issue[], body: unknown): Problem {
  const issue = issues[0];
  if (!issue) return new Problem("invalid_parameter", "The request's body is not valid.");
  if (issue.code === "unrecognized_keys") {
    const param = dotted([...issue.path, issue.keys?.[0] ?? ""]);
    return new Problem("unsupported_parameter", `Unknown parameter: '${param}'.`, param);
  }
  const param = dotted(issue.path);
  const message = issue.message.replace(SORT, "");
  if (param === "") {
    return new Problem("invalid_parameter", `The request's body is not valid: ${message}.`);
  }
  const value = issue.path.reduce<unknown>(inside, body);
  if (value === undefined) {
    return new Problem("invalid_parameter", `Missing parameter: '${param}'.`, param);
  }
  return new Problem(
    message.endsWith("not supported by this server")
      ? "unsupported_parameter"
      : "invalid_parameter",
    `Invalid '${param}': ${message.replace(TYPE, "")}, received ${excerpt(value)}.`,
    param,
  );
}

const dotted = (path: readonly PropertyKey[]) => path.map(String).join(".");

const inside = (value: unknown, key: PropertyKey): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<PropertyKey, unknown>)[key]
    : undefined;

function excerpt(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}
