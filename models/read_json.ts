/**
 * A JSON file's value, or undefined where there is no such file.
 * @throws {SyntaxError} naming the file that is not JSON; `action` says what was being done.
 */
export async function readJson(path: string, action: string): Promise<unknown> {
  try {
    return parseJson(await Deno.readTextFile(path), path, action);
  } catch (error) {
    return absent(error);
  }
}

/** As `readJson`, for callers that read the rest of the directory without a pause as well. */
export function readJsonSync(path: string, action: string): unknown {
  try {
    return parseJson(Deno.readTextFileSync(path), path, action);
  } catch (error) {
    return absent(error);
  }
}

/** @throws {SyntaxError} naming the file that is not JSON. */
export function parseJson(text: string, path: string, action: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`Cannot ${action}: ${path} is not JSON: ${(error as Error).message}`);
  }
}

function absent(error: unknown): undefined {
  if (error instanceof Deno.errors.NotFound) return undefined;
  throw error;
}
