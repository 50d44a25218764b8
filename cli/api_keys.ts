import { type Config, ConfigError } from "./config.ts";

/** The keys that open the API, from the flag and the file; none leaves it open. */
export async function readApiKeys(
  config: Pick<Config, "apiKey" | "apiKeyFile">,
): Promise<string[]> {
  const keys = config.apiKey === undefined ? [] : [config.apiKey];
  if (config.apiKeyFile === undefined) return keys;
  let text: string;
  try {
    text = await Deno.readTextFile(config.apiKeyFile);
  } catch (error) {
    throw new ConfigError(
      `Cannot use --api-key-file: ${(error as Error).message}, received ${config.apiKeyFile}`,
    );
  }
  const listed = text.split("\n").map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (listed.length === 0) {
    throw new ConfigError(
      `Cannot use --api-key-file: expected one key a line, received an empty ${config.apiKeyFile}`,
    );
  }
  return [...keys, ...listed];
}
