/** The sub-directories of a directory, which is read again only where its times say that it may have changed. */
export class DirectoryListing {
  readonly #directory: string;
  #names: readonly string[] = [];
  /** When it was last read, and its times then. */
  #readAt = -Infinity;
  #times = "";

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** @throws {TypeError} where `directory` cannot be read. */
  static async check(directory: string): Promise<void> {
    await new DirectoryListing(directory).names();
  }

  /** Links count too, wherever they lead. @throws {TypeError} where the directory cannot be read. */
  async names(): Promise<readonly string[]> {
    try {
      const { mtime, ctime } = await Deno.stat(this.#directory);
      const times = `${mtime?.getTime()} ${ctime?.getTime()}`;
      const changedAt = Math.max(mtime?.getTime() ?? Infinity, ctime?.getTime() ?? 0);
      // Compared and not only old: rsync gives a directory the time that it had elsewhere, and a file server may have
      // another clock. Its times may also be those of an earlier look within the same moment.
      if (times === this.#times && changedAt + 2000 < this.#readAt) return this.#names;
      const readAt = Date.now();
      const names: string[] = [];
      for await (const entry of Deno.readDir(this.#directory)) {
        if (entry.isDirectory || entry.isSymlink) names.push(entry.name);
      }
      [this.#readAt, this.#times, this.#names] = [readAt, times, names.sort()];
      return this.#names;
    } catch (error) {
      throw new TypeError(
        `Cannot read adapters: ${(error as Error).message}, received ${
          JSON.stringify(this.#directory)
        }`,
      );
    }
  }
}
