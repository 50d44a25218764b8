import type { Epoch } from "../../memory/ids.ts";
import { messageOf } from "../message_of.ts";

/** What the path of a Unix socket may have on every system: macOS has 104 bytes for it, a NUL among them. */
const LONGEST_PATH = 103;
/** As long as Deno makes it, with room for all engines that may have to be started. */
const NAME_BYTES = "/chorus-0123456789abcdef/engine-999999.sock".length;

/** Where Deno itself makes temporary directories, of which it does not say what it is. */
const temporary = () => Deno.env.get("TMPDIR") || "/tmp";

/**
 * Makes a directory in `parent` that only this user may enter, for the sockets of engines to come.
 * @throws {Error} where it cannot, and no other try could.
 */
export async function makeSocketDirectory(parent = temporary()): Promise<string> {
  const bytes = new TextEncoder().encode(parent).length + NAME_BYTES;
  if (bytes > LONGEST_PATH) {
    throw new RangeError(
      `Cannot put the engine's socket where TMPDIR says: its path would have ${bytes} bytes and ` +
        `may have ${LONGEST_PATH}, received ${parent}`,
    );
  }
  try {
    return await Deno.makeTempDir({ dir: parent, prefix: "chorus-" });
  } catch (error) {
    const why = messageOf(error).replace(/: tmpdir$/, ""); // Deno's word for any name
    throw new Error(
      `Cannot make a directory for the engine's socket where TMPDIR says: ${why}, received ${parent}`,
      { cause: error },
    );
  }
}

/** Where the engine of an epoch is to connect to. */
export const socketIn = (directory: string, epoch: Epoch) => `${directory}/engine-${epoch}.sock`;
