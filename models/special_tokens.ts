import type { AddedToken, TokenizerFiles } from "./tokenizer_files.ts";

const NAMES = [
  "bos_token",
  "eos_token",
  "unk_token",
  "pad_token",
  "sep_token",
  "cls_token",
  "mask_token",
] as const;

/** The named special tokens of tokenizer_config.json that are set, as chat templates see them. */
export function namedTokens({ config }: TokenizerFiles): Record<string, string> {
  const named: Record<string, string> = {};
  for (const name of NAMES) {
    const token = config[name];
    if (token !== null && token !== undefined) named[name] = token;
  }
  return named;
}

/** Added tokens that decoding skips: flagged so in either file, or named by tokenizer_config.json. */
export function specialTokens(files: TokenizerFiles): AddedToken[] {
  const { config, tokenizer } = files;
  const named = new Set<unknown>([
    ...Object.values(namedTokens(files)),
    ...config.additional_special_tokens ?? [],
    ...Object.values(config.extra_special_tokens ?? {}),
  ]);
  return tokenizer.added_tokens.filter((token) =>
    token.special || named.has(token.content) || config.added_tokens_decoder?.[token.id]?.special
  );
}

/**
 * Added tokens that text from a client must never become: the special ones, and any shaped like
 * `<|user|>`, because some checkpoints (DeepSeek's distillates) do not flag their turn markers.
 */
export function controlTokens(files: TokenizerFiles): AddedToken[] {
  const special = new Set(specialTokens(files));
  return files.tokenizer.added_tokens.filter((token) =>
    special.has(token) || /^<([|｜]).*\1>$/su.test(token.content)
  );
}
