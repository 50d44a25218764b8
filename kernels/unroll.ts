/**
 * Writes out loops that the GPU must not run as loops: private arrays indexed by a counter land in memory, and
 * naga adds a second counter to every loop. In a kernel's text,
 *
 *     #for i in BLOCKS
 *     sum{i} = sum{i} + x{i};
 *     #end
 *
 * becomes as many copies as `counts.BLOCKS` says, `{i}` being 0, 1, ...; loops may be nested, and a count may be a number.
 * @throws {SyntaxError} naming the line: a count that is not given or not whole, a loop that is not closed, or closed twice.
 */
export function unroll(text: string, counts: Readonly<Record<string, number>>): string {
  const lines = text.split("\n");
  const body = (from: number, depth: number): { text: string[]; end: number } => {
    const out: string[] = [];
    for (let at = from; at < lines.length; at++) {
      const line = lines[at] ?? "";
      if (line.trim() === "#end") {
        if (depth === 0) throw fault("#end closes no loop", at, line);
        return { text: out, end: at };
      }
      const [, name = "", count = ""] = line.match(/^\s*#for (\w+) in (\w+)$/) ?? [];
      if (!name) {
        out.push(line);
        continue;
      }
      const times = /^\d+$/.test(count) ? Number(count) : counts[count];
      if (times === undefined) throw fault(`no count is named ${count}`, at, line);
      if (!Number.isInteger(times)) throw fault(`${count} is ${times}, no whole count`, at, line);
      const loop = body(at + 1, depth + 1);
      for (let i = 0; i < times; i++) {
        out.push(...loop.text.map((each) => each.replaceAll(`{${name}}`, String(i))));
      }
      at = loop.end;
    }
    if (depth > 0) throw fault("a loop is not closed", from - 1, lines[from - 1] ?? "");
    return { text: out, end: lines.length };
  };
  return body(0, 0).text.join("\n");
}

const fault = (why: string, at: number, line: string) =>
  new SyntaxError(`Cannot unroll: ${why}, received line ${at + 1}: ${line.trim()}`);
