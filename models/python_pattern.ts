/**
 * A Python regular expression as PEFT's config files hold them, to be matched from beginning to end:
 * what is spelt differently here is respelt.
 * @throws {SyntaxError} for what JavaScript cannot express (possessive quantifiers, atomic groups, comments).
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
  return new RegExp(`^(?:${respelt})$`, flags.replace("u", ""));
}
