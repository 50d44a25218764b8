/**
 * A Python regular expression as PEFT's config files hold them, to be matched from beginning to end:
 * what is spelt differently here is respelt.
 * @throws {SyntaxError} for what JavaScript cannot express (possessive quantifiers, atomic groups, comments), and for
 * what may take for ever to match.
 */
export function pythonPattern(source: string): RegExp {
  const [, flags = "", body = ""] = /^(?:\(\?([a-z]+)\))?(.*)$/s.exec(source) ?? [];
  if (/[^imsu]/.test(flags)) throw new SyntaxError(`unknown flags (?${flags})`);
  const respelt = body.replace(
    /\\[\s\S]|\(\?P<|\(\?P=(\w+)\)|\{,(\d+)\}/g,
    (found, name?: string, most?: string) => {
      if (found === "\\A") return "(?<![\\s\\S])";
      if (found === "\\Z" || found === "\\z") return "(?![\\s\\S])";
      if (found === "(?P<") return "(?<";
      if (name !== undefined) return `\\k<${name}>`;
      return most === undefined ? found : `{0,${most}}`;
    },
  );
  const pattern = new RegExp(`^(?:${respelt})$`, flags.replace("u", ""));
  if (respelt.length > LONGEST) throw new SyntaxError(`longer than ${LONGEST} characters`);
  if (repeatsChoices(respelt)) {
    throw new SyntaxError(
      "a group with choices or repetitions in it is repeated, which may take for ever",
    );
  }
  return pattern;
}

const LONGEST = 10_000;

/** Whether a group that can match in several ways is repeated: their number doubles with each character. */
function repeatsChoices(pattern: string): boolean {
  const groups: boolean[] = [false];
  let closed = false; // a group with choices in it has just ended
  for (
    const [part] of pattern.matchAll(
      /\\.|\[(?:\\.|[^\]\\])*\]|\(\?(?:[:=!]|<[^>]*>|<[=!])|[*+]|\{\d+(?:,\d*)?\}|./gs,
    )
  ) {
    const repeats = /^([*+]|\{\d)/.test(part);
    if (closed && repeats) return true;
    closed = false;
    if (part.startsWith("(")) groups.push(false);
    else if (part === ")") {
      closed = groups.pop() ?? false;
      if (closed && groups.length > 0) groups[groups.length - 1] = true;
    } else if (repeats || part === "|" || part === "?") groups[groups.length - 1] = true;
  }
  return false;
}
