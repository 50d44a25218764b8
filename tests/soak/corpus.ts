import type { goldens } from "../support/goldens.ts";

type Golden = ReturnType<typeof goldens>;

/** Adapters' directories by the thousand: the goldens' adapters, each copy with a digest of its own. */
export interface Corpus extends AsyncDisposable {
  /** What the server reads at its start: `names`, one directory each. */
  readonly directory: string;
  /** Where later revisions are written. */
  readonly revisions: string;
  readonly names: readonly string[];
  /** The golden variant that a name's first revision is. */
  first(name: string): string;
  /** A new revision, of `variant`; its directory. */
  revise(variant: string): Promise<string>;
}

/** Writes `count` adapters of the golden's variants in turn; weights are hard links to one copy of each. */
export async function createCorpus(golden: Golden, count: number): Promise<Corpus> {
  const root = await Deno.makeTempDir({ prefix: "chorus-soak-" });
  const [directory, revisions, sources] = ["adapters", "revisions", "sources"].map((name) =>
    `${root}/${name}`
  ) as [string, string, string];
  for (const path of [directory, revisions, sources]) await Deno.mkdir(path);
  const variants = variantsOf(golden);
  const configs = new Map<string, object>();
  for (const variant of variants) {
    const source = `${golden.directory}/${golden.cases[variant]?.adapter}`;
    await Deno.copyFile(`${source}/adapter_model.safetensors`, `${sources}/${variant}`);
    configs.set(variant, JSON.parse(await Deno.readTextFile(`${source}/adapter_config.json`)));
  }
  let made = 0;
  /** Writes one more adapter, of `variant`, to the directory that `path` names for its number. */
  const write = async (path: (number: number) => string, variant: string) => {
    const number = made++;
    const directory = path(number);
    await Deno.mkdir(directory);
    await Deno.link(`${sources}/${variant}`, `${directory}/adapter_model.safetensors`);
    const config = { ...configs.get(variant), revision: `${number}` };
    await Deno.writeTextFile(`${directory}/adapter_config.json`, JSON.stringify(config));
    return directory;
  };
  const names = Array.from({ length: count }, (_, i) => `adapter-${i}`);
  const first = (name: string) => variants[Number(name.slice(8)) % variants.length] ?? "";
  for (const name of names) await write(() => `${directory}/${name}`, first(name));
  return {
    directory,
    revisions,
    names,
    first,
    revise: (variant) => write((number) => `${revisions}/${number}`, variant),
    [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }),
  };
}

/** The golden's adapters, without its base. */
export const variantsOf = (golden: Golden): string[] =>
  Object.keys(golden.cases).filter((variant) => golden.cases[variant]?.adapter != null);
