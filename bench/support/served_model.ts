import { frontPermissions } from "../../cli/permissions.ts";
import { parseModelConfig } from "../../models/parse_config.ts";
import { type ChildServer, startChild } from "./child_server.ts";
import { type AdapterPlan, writeRandomAdapters } from "./random_adapters.ts";
import { llama8b, writeRandomModel } from "./random_model.ts";
import { writeRandomTokenizer } from "./random_tokenizer.ts";

export interface ServedModelOptions {
  readonly tiny: boolean;
  readonly adapters: AdapterPlan;
  /** Where to write; not /dev/shm, for Deno lets only a process with all permissions read below /dev. */
  readonly directory?: string | undefined;
  /** Of `deno task serve`; the last of several wins. */
  readonly args: readonly string[];
}

/** A server on files that were made for it, which go with it. */
export interface ServedModel extends ChildServer {
  /** Seconds it took to write the files, and from the start of the server until it took requests. */
  readonly made: number;
  readonly started: number;
}

/** Writes model and adapters (the page cache keeps them) and serves them as `deno task serve` does. */
export async function serveRandomModel(options: ServedModelOptions): Promise<ServedModel> {
  const { directory } = options;
  const root = await Deno.makeTempDir({
    prefix: "chorus-bench-",
    ...directory && { dir: directory },
  });
  const remove = () => Deno.remove(root, { recursive: true });
  try {
    const start = performance.now();
    const json = llama8b(options.tiny);
    const config = parseModelConfig(json, "bench");
    await writeRandomModel(`${root}/model`, json);
    await writeRandomTokenizer(`${root}/model`, config.vocabSize);
    await Deno.mkdir(`${root}/adapters`);
    await writeRandomAdapters(`${root}/adapters`, config, options.adapters);
    const written = performance.now();
    const child = await startChild([
      "run",
      ...frontPermissions(Deno.execPath(), Deno.env.toObject()),
      "main.ts",
      ...["--model", `${root}/model`, "--adapters", `${root}/adapters`],
      ...["--name", "base", "--port", "0"],
      ...options.args,
    ]);
    return {
      url: child.url,
      pid: child.pid,
      lines: child.lines,
      made: (written - start) / 1000,
      started: (performance.now() - written) / 1000,
      async [Symbol.asyncDispose]() {
        await child[Symbol.asyncDispose]();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
