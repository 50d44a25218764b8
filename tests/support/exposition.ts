/** A time series of a scrape. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SERIES = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;

/**
 * Reads Prometheus' text format.
 * @throws {SyntaxError} for a line that is not of the format, a sample without a type, and a series that is there twice.
 */
export function readExposition(text: string): Sample[] {
  const types = new Map<string, string>();
  const seen = new Set<string>();
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    const refuse = (why: string): never => {
      throw new SyntaxError(`Cannot read the exposition: ${why}, received ${line}`);
    };
    if (line === "" || line.startsWith("# HELP ")) continue;
    const [, family, type] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line) ?? [];
    if (family && type) {
      if (types.has(family)) refuse("a second type");
      types.set(family, type);
      continue;
    }
    const [, name = "", inner = "", value = ""] = SERIES.exec(line) ?? refuse("not a sample");
    const typed = types.get(name) ??
      (types.get(name.replace(/_(bucket|sum|count)$/, "")) === "histogram" ? "histogram" : null);
    if (!typed) refuse("no type");
    const labels = readLabels(inner) ?? refuse("bad labels");
    const series = JSON.stringify([name, Object.entries(labels).sort()]);
    if (seen.has(series)) refuse("a series that was there before");
    seen.add(series);
    const number = value === "+Inf" ? Infinity : Number(value);
    if (Number.isNaN(number)) refuse("not a number");
    samples.push({ name, labels, value: number });
  }
  return samples;
}

function readLabels(inner: string): Record<string, string> | null {
  const labels: Record<string, string> = {};
  for (LABEL.lastIndex = 0; LABEL.lastIndex < inner.length;) {
    const [, name, value] = LABEL.exec(inner) ?? [];
    if (name === undefined || value === undefined || name in labels) return null;
    labels[name] = value.replace(/\\(.)/g, (_, c) => c === "n" ? "\n" : c);
  }
  return labels;
}
