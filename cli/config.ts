import { Command, Option } from "commander";
import { z } from "zod";
import { count, seconds } from "./option_schemas.ts";
import { SCHEDULING_OPTIONS } from "./scheduling_options.ts";

const bytes = z.string().regex(/^\d+(\.\d+)?\s*([kmgt]i?b?|b)?$/i, {
  message: "expected a number of bytes such as 512MiB or 40GB",
}).transform(parseBytes);
/** Every option of `deno task serve`: flag, meaning, default and check, written once. */
const OPTIONS = {
  model: {
    flag: "--model <dir>",
    about: "Hugging Face directory of the base model (default: the bundled demo)",
    fallback: undefined,
    schema: z.string().min(1).optional(),
  },
  adapters: {
    flag: "--adapters <dir>",
    about: "directory whose sub-directories are PEFT adapters",
    fallback: undefined,
    schema: z.string().min(1).optional(),
  },
  adapterRoots: {
    flag: "--adapter-roots <dirs>",
    about: "directories, separated by commas, from which admins may load adapters, " +
      "besides that of --adapters",
    fallback: "",
    schema: z.string().transform((text) => text.split(",").filter((dir) => dir !== "")),
  },
  name: {
    flag: "--name <name>",
    about: "name of the base model in the API (default: the directory's name, or demo)",
    fallback: undefined,
    schema: z.string().min(1).optional(),
  },
  host: {
    flag: "--host <address>",
    about: "address to listen on",
    fallback: "127.0.0.1",
    schema: z.string().min(1),
  },
  port: {
    flag: "--port <port>",
    about: "port to listen on; 0 picks a free one",
    fallback: "8000",
    schema: count(0, 65535),
  },
  gpu: {
    flag: "--gpu <provider>",
    about: "WebGPU provider: builtin (Deno's own), dawn, or auto: dawn where it finds matrix units",
    fallback: "builtin",
    schema: z.enum(["auto", "builtin", "dawn"], {
      message: "expected auto, builtin or dawn",
    }),
  },
  dtype: {
    flag: "--dtype <dtype>",
    about: "f32 checkpoints become f16 (auto too) or bf16; 16-bit ones stay what they are; " +
      "int8 halves the projections of either",
    fallback: "auto",
    schema: z.enum(["auto", "f16", "bf16", "int8"], {
      message: "expected auto, f16, bf16 or int8",
    }),
  },
  maxModelLen: {
    flag: "--max-model-len <tokens>",
    about: "longest prompt plus output (default: the model's own, at most 8192)",
    fallback: undefined,
    schema: count(16).optional(),
  },
  poolBytes: {
    flag: "--pool-bytes <bytes>",
    about: "GPU memory shared by KV cache and adapters (default: 4GiB, 256MiB in software)",
    fallback: undefined,
    schema: bytes.optional(),
  },
  headPoolBytes: {
    flag: "--head-pool-bytes <bytes>",
    about: "GPU memory for adapters on embed_tokens and lm_head (default: 1/16 of the pool)",
    fallback: undefined,
    schema: bytes.optional(),
  },
  adapterHostBytes: {
    flag: "--adapter-host-bytes <bytes>",
    about: "host memory for adapters ready to upload; others are read from disk when wanted",
    fallback: "4GiB",
    schema: bytes.pipe(z.number().positive("expected at least 1 byte")),
  },
  adapterLoadTimeout: {
    flag: "--adapter-load-timeout <seconds>",
    about: "how long reading one adapter's files may take before its requests fail",
    fallback: "30",
    schema: seconds.pipe(z.number().positive("expected more than 0 seconds")),
  },
  uploadBytesPerStep: {
    flag: "--upload-bytes-per-step <bytes>",
    about: "adapter bytes uploaded between two steps, which is what running streams wait for",
    fallback: "16MiB",
    schema: bytes.pipe(z.number().min(2 ** 16, "expected at least 64KiB")),
  },
  maxBatchTokens: {
    flag: "--max-batch-tokens <tokens>",
    about: "tokens of one step over all sequences (default: 512, or --max-running where more)",
    fallback: undefined,
    schema: count(16).optional(),
  },
  maxRunning: {
    flag: "--max-running <sequences>",
    about: "sequences that run at once",
    fallback: "64",
    schema: count(1, 1024),
  },
  prefixCache: {
    flag: "--prefix-cache <on|off>",
    about: "keep the KV of prompts and answers for requests that begin alike",
    fallback: "on",
    schema: z.enum(["on", "off"], { message: "expected on or off" }),
  },
  ...SCHEDULING_OPTIONS,
  maxQueued: {
    flag: "--max-queued <requests>",
    about: "admitted requests, running ones included; above it clients get 429",
    fallback: "1024",
    schema: count(1),
  },
  maxBodyBytes: {
    flag: "--max-body-bytes <bytes>",
    about: "largest request body",
    fallback: "4MiB",
    schema: bytes,
  },
  apiKey: {
    flag: "--api-key <key>",
    about: "require this bearer key",
    fallback: undefined,
    schema: z.string().min(1).optional(),
  },
  apiKeyFile: {
    flag: "--api-key-file <file>",
    about: "require one of the keys in this file, one a line",
    fallback: undefined,
    schema: z.string().min(1).optional(),
  },
  tenantFile: {
    flag: "--tenant-file <file>",
    about: "tenants, their keys (hashed), adapters and limits; read again when it changes",
    fallback: undefined,
    schema: z.string().min(1).optional(),
  },
  adminKey: {
    flag: "--admin-key <key>",
    about: "let who has this bearer key load, unload and pin adapters (default: nobody may)",
    fallback: undefined,
    schema: z.string().min(1).optional(),
  },
  adminPort: {
    flag: "--admin-port <port>",
    about: "let admins in on this port alone, with --admin-key if there is one, else anybody",
    fallback: undefined,
    schema: count(0, 65535).optional(),
  },
  adminHost: {
    flag: "--admin-host <address>",
    about: "address of that port",
    fallback: "127.0.0.1",
    schema: z.string().min(1),
  },
  metricsPerAdapter: {
    flag: "--metrics-per-adapter <on|off>",
    about: "label /metrics' times by the adapter's name: a time series each",
    fallback: "off",
    schema: z.enum(["on", "off"], { message: "expected on or off" }),
  },
  drainSeconds: {
    flag: "--drain-seconds <seconds>",
    about: "how long running streams may go on after SIGTERM",
    fallback: "30",
    schema: seconds,
  },
} as const;

type Options = typeof OPTIONS;
export type Config = Readonly<{ [K in keyof Options]: z.infer<Options[K]["schema"]> }>;

/** The environment variable that stands for a flag: CHORUS_MAX_BATCH_TOKENS for --max-batch-tokens. */
export const variableOf = (name: string): string =>
  `CHORUS_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;

/**
 * Parses flags and CHORUS_* variables into one frozen value; flags win.
 * @throws {ConfigError} naming the option, its value and what was expected.
 */
export function parseConfig(
  args: readonly string[],
  environment: Pick<Deno.Env, "get">,
): Config {
  const command = new Command("chorus").description("One base model, thousands of voices.")
    .exitOverride().helpOption("--help", "list the options");
  for (const [name, { flag, about, fallback }] of Object.entries(OPTIONS)) {
    const otherwise = fallback ? ` (default: ${fallback})` : "";
    command.addOption(new Option(flag, `${about}${otherwise} [${variableOf(name)}]`));
  }
  command.parse([...args], { from: "user" });
  const flags = command.opts<Record<string, string>>();
  // A variable that is set to nothing is how compose files leave one out.
  const given = (name: string) => flags[name] ?? (environment.get(variableOf(name)) || undefined);
  const refused = (name: keyof Options, why: string): ConfigError => {
    const from = flags[name] === undefined ? variableOf(name) : OPTIONS[name].flag.split(" ")[0];
    return new ConfigError(`Cannot use ${from}: ${why}, received ${JSON.stringify(given(name))}`);
  };
  const config: Record<string, unknown> = {};
  for (const [name, { schema, fallback }] of Object.entries(OPTIONS)) {
    const parsed = schema.safeParse(given(name) ?? fallback);
    if (!parsed.success) {
      throw refused(name as keyof Options, parsed.error.issues[0]?.message ?? "not valid");
    }
    config[name] = parsed.data;
  }
  const checked = Object.freeze(config) as Config;
  const { maxBatchTokens, maxRunning } = checked;
  if (maxBatchTokens !== undefined && maxBatchTokens < maxRunning) {
    throw refused("maxBatchTokens", `expected at least --max-running, ${maxRunning}`);
  }
  return checked;
}

/** A bad option: the process prints the message and exits with status 2. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

function parseBytes(text: string): number {
  const [, number = "0", unit = ""] = /^([\d.]+)\s*([kmgt]?)/i.exec(text) ?? [];
  const base = /i/i.test(text.slice(number.length)) || !/[kmgt]b$/i.test(text) ? 1024 : 1000;
  const power = " kmgt".indexOf(unit.toLowerCase() || " ");
  return Math.floor(Number(number) * base ** power);
}
