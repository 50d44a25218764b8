/** The samples without labels of a server's /metrics, by name; none where it has no such page. */
export async function metricsOf(
  url: string,
  apiKey?: string,
): Promise<Readonly<Record<string, number>>> {
  const headers = apiKey === undefined ? undefined : { authorization: `Bearer ${apiKey}` };
  const response = await fetch(`${url}/metrics`, headers && { headers });
  const text = await response.text();
  if (!response.ok) return {};
  const samples = text.split("\n").map((line) => /^(\w+) (\S+)$/.exec(line));
  return Object.fromEntries(
    samples.flatMap((found) => found ? [[found[1], Number(found[2])]] : []),
  );
}

/** How the pool is used, in words. */
export function memoryLine(metrics: Readonly<Record<string, number>>): string {
  const { chorus_pages, chorus_pages_adapter, chorus_adapters_resident } = metrics;
  if (chorus_pages === undefined) return "no pool gauges";
  return `${chorus_adapters_resident ?? 0} adapters resident in ${chorus_pages_adapter ?? 0} of ` +
    `${chorus_pages} pages, ${metrics.chorus_preemptions_total ?? 0} preemptions`;
}
