/**
 * The samples of a server's /metrics without labels, by name, and those that are parts of a time, by `name.part`; none
 * where it has no such page.
 */
export async function metricsOf(
  url: string,
  apiKey?: string,
): Promise<Readonly<Record<string, number>>> {
  const headers = apiKey === undefined ? undefined : { authorization: `Bearer ${apiKey}` };
  const response = await fetch(`${url}/metrics`, headers && { headers });
  const text = await response.text();
  if (!response.ok) return {};
  const samples = text.split("\n").map((line) => /^(\w+)(?:\{part="(\w+)"\})? (\S+)$/.exec(line));
  return Object.fromEntries(
    samples.flatMap((found) => {
      if (!found) return [];
      const [, name, part, value] = found;
      return [[part === undefined ? name : `${name}.${part}`, Number(value)]];
    }),
  );
}

/** What the steps of `seconds` took, in words, from the metrics before and after them. */
export function stepLine(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  seconds: number,
): string {
  const grown = (name: string) => (after[name] ?? 0) - (before[name] ?? 0);
  const steps = grown("chorus_steps_total");
  if (steps === 0) return "no steps";
  const ms = (total: number) => (total / steps * 1e3).toFixed(1);
  const [encode, gpu, read] = ["encode", "gpu", "read"].map((part) =>
    ms(grown(`chorus_step_seconds_total.${part}`))
  );
  return `${steps} steps of ${ms(seconds)} ms (encode ${encode}, GPU ${gpu}, read ${read})`;
}

/** How the pool is used, in words. */
export function memoryLine(metrics: Readonly<Record<string, number>>): string {
  const { chorus_pages, chorus_pages_adapter, chorus_adapters_resident } = metrics;
  if (chorus_pages === undefined) return "no pool gauges";
  return `${chorus_adapters_resident ?? 0} adapters resident in ${chorus_pages_adapter ?? 0} of ` +
    `${chorus_pages} pages, ${metrics.chorus_preemptions_total ?? 0} preemptions`;
}
