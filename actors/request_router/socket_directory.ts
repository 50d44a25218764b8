import { messageOf } from "../message_of.ts";

/** Where Deno itself makes temporary directories, of which it does not say what it is. */
const temporary = () => Deno.env.get("TMPDIR") || "/tmp";

/**
 * Makes a directory in `parent` that only this user may enter, for the sockets of engines to come.
 * @throws {Error} where it cannot, and no other try could.
 */
export async function makeSocketDirectory(parent = temporary()): Promise<string> {
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
