import { z } from "zod";

const addedToken = z.object({
  id: z.int().nonnegative(),
  content: z.string().min(1),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().optional(),
  special: z.boolean().default(false),
});

/** A token that is found in text before the model sees it, as tokenizer.json lists it. */
export type AddedToken = z.infer<typeof addedToken>;

const tokenizerJson = z.looseObject({
  added_tokens: z.array(addedToken).default([]),
  model: z.looseObject({
    type: z.literal("BPE"),
    dropout: z.null().optional(),
    continuing_subword_prefix: z.literal("").nullish(),
    end_of_word_suffix: z.literal("").nullish(),
    ignore_merges: z.boolean().nullish(),
  }),
  decoder: z.unknown(),
});

const namedToken = z.union([
  z.string(),
  z.looseObject({ content: z.string() }).transform((token) => token.content),
]).nullish();

const tokenizerConfig = z.looseObject({
  bos_token: namedToken,
  eos_token: namedToken,
  unk_token: namedToken,
  pad_token: namedToken,
  sep_token: namedToken,
  cls_token: namedToken,
  mask_token: namedToken,
  additional_special_tokens: z.array(namedToken).nullish(),
  extra_special_tokens: z.union([z.array(z.unknown()), z.record(z.string(), z.unknown())])
    .nullish(),
  added_tokens_decoder: z.record(z.string(), z.looseObject({ special: z.boolean().optional() }))
    .optional(),
  add_bos_token: z.boolean().nullish(),
  add_eos_token: z.boolean().nullish(),
  chat_template: z.union([
    z.string(),
    z.array(z.object({ name: z.string(), template: z.string() })),
  ]).nullish(),
});

/** tokenizer.json and tokenizer_config.json of one model directory, checked as far as they are read. */
export interface TokenizerFiles {
  readonly directory: string;
  readonly tokenizer: z.infer<typeof tokenizerJson>;
  readonly config: z.infer<typeof tokenizerConfig>;
}

/**
 * Reads both files; tokenizer_config.json may be absent. Throws NotFound, SyntaxError (not JSON) or
 * TypeError (not what a BPE tokenizer has), each naming the file.
 */
export async function readTokenizerFiles(directory: string): Promise<TokenizerFiles> {
  const [tokenizer, config] = await Promise.all([
    readText(`${directory}/tokenizer.json`),
    readText(`${directory}/tokenizer_config.json`),
  ]);
  if (tokenizer === null) {
    throw new Deno.errors.NotFound(
      `Cannot load the tokenizer: expected a file ${directory}/tokenizer.json, received none`,
    );
  }
  return {
    directory,
    tokenizer: parse(tokenizerJson, tokenizer, `${directory}/tokenizer.json`),
    config: parse(tokenizerConfig, config ?? "{}", `${directory}/tokenizer_config.json`),
  };
}

/** The file's text, or null where there is no such file. */
export async function readText(path: string): Promise<string | null> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function parse<T>(schema: z.ZodType<T>, text: string, path: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(
      `Cannot load the tokenizer: ${path} is not JSON, received ${
        JSON.stringify(text.slice(0, 40))
      }`,
      { cause },
    );
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const key = issue?.path.join(".") ?? "";
  const found = issue?.path.reduce<unknown>(
    (at, step) => (at as Record<PropertyKey, unknown> | null)?.[step],
    value,
  );
  throw new TypeError(
    `Cannot load the tokenizer: ${path}: ${key || "the file"}: ${issue?.message}, received ${
      JSON.stringify(found)?.slice(0, 80)
    }`,
  );
}
