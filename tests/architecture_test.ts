import { assertEquals } from "@std/assert";

interface Edge {
  readonly from: string;
  readonly to: string;
}

/** Every import between the project's own files, type-only ones included, as `deno info` sees it. */
async function imports(): Promise<Edge[]> {
  const root = new URL("..", import.meta.url).href;
  const edges: Edge[] = [];
  for (
    const entry of [
      "main.ts",
      "actors/engine.ts",
      "actors/executor/worker.ts",
      "actors/loader/worker.ts",
      "actors/request_router/prompt_worker.ts",
    ]
  ) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", entry],
      cwd: new URL("..", import.meta.url),
    }).output();
    const graph = JSON.parse(new TextDecoder().decode(stdout)) as {
      modules: {
        specifier: string;
        dependencies?: { code?: { specifier: string }; type?: { specifier: string } }[];
      }[];
    };
    for (const module of graph.modules) {
      if (!module.specifier.startsWith(root)) continue;
      for (const dependency of module.dependencies ?? []) {
        const target = (dependency.code ?? dependency.type)?.specifier;
        if (!target?.startsWith(root)) continue;
        edges.push({ from: module.specifier.slice(root.length), to: target.slice(root.length) });
      }
    }
  }
  return edges;
}

const folder = (file: string) => file.includes("/") ? file.slice(0, file.indexOf("/")) : "";
const actor = (file: string) => /^actors\/([^/]+)\//.exec(file)?.[1] ?? null;

/** What each folder may import besides itself. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  "": ["cli", "routes", "actors", "models", "memory"],
  cli: ["routes", "actors", "models", "memory", "std"],
  routes: ["actors", "memory", "models", "std"],
  actors: ["kernels", "memory", "models", "std"],
  kernels: [],
  memory: [],
  models: [],
  std: [],
};
/** Wiring sees whole actors; everything else sees another actor's protocol only. */
const WIRING = ["actors/engine.ts", "actors/system.ts"];

const edges = await imports();
const wrong = (
  rule: (edge: Edge) => boolean,
) => [...new Set(edges.filter((edge) => !rule(edge)).map(({ from, to }) => `${from} -> ${to}`))];

Deno.test("imports go one way: main -> routes -> actors -> kernels | memory | models", () => {
  assertEquals(
    wrong(({ from, to }) =>
      folder(from) === folder(to) || (MAY[folder(from)] ?? []).includes(folder(to))
    ),
    [],
  );
});

Deno.test("an actor knows of another nothing but its protocol", () => {
  assertEquals(
    wrong(({ from, to }) =>
      WIRING.includes(from) || folder(from) !== "actors" || actor(to) === null ||
      actor(from) === actor(to) || to.endsWith("/protocol.ts")
    ),
    [],
  );
});

Deno.test("the executor alone touches kernels", () => {
  assertEquals(
    wrong(({ from, to }) =>
      folder(to) !== "kernels" || folder(from) === "kernels" || actor(from) === "executor"
    ),
    [],
  );
});

Deno.test("protocols import nouns and other protocols only", () => {
  assertEquals(
    wrong(({ from, to }) =>
      !from.endsWith("/protocol.ts") || to.endsWith("/protocol.ts") ||
      [
        "memory/ids.ts",
        "memory/memory_plan.ts",
        "memory/prefix.ts",
        "models/adapter_image.ts",
        "actors/sampling.ts",
      ].includes(to)
    ),
    [],
  );
});

Deno.test("protocols have an order: none needs one that needs it", () => {
  const needs = (from: string) =>
    edges.filter((edge) => edge.from === from && edge.to.endsWith("/protocol.ts")).map(({ to }) =>
      to
    );
  const reached = (from: string, seen = new Set<string>()): Set<string> => {
    for (const to of needs(from)) if (!seen.has(to)) reached(to, seen.add(to));
    return seen;
  };
  const protocols = [...new Set(edges.map(({ to }) => to))].filter((to) =>
    to.endsWith("/protocol.ts")
  );
  assertEquals(protocols.length > 4, true);
  assertEquals(protocols.filter((protocol) => reached(protocol).has(protocol)), []);
});

/** Folders of what is written here, and nothing else. */
const WRITTEN = [...Object.keys(MAY).filter((name) => name !== ""), "bench", "tests"];

async function* sources(folder: string): AsyncGenerator<string> {
  for await (
    const { name, isDirectory } of Deno.readDir(new URL(`../${folder}`, import.meta.url))
  ) {
    if (isDirectory) yield* sources(`${folder}/${name}`);
    else if (/\.(ts|wgsl|py)$/.test(name)) yield `${folder}/${name}`;
  }
}

Deno.test("files of more than 300 lines are those that docs/decisions.md has a reason for", async () => {
  const text = (path: string) => Deno.readTextFile(new URL(`../${path}`, import.meta.url));
  const [, chapter = ""] = (await text("docs/decisions.md")).split(
    "## Files of more than 300 lines",
  );
  const reasons = chapter.matchAll(/`(.+?)`/g).map(([, path = ""]) => path).toArray();
  const long: string[] = [];
  for (const folder of WRITTEN) {
    for await (const path of sources(folder)) {
      if ((await text(path)).split("\n").length > 301) long.push(path);
    }
  }
  assertEquals(long.sort(), reasons.sort());
});
