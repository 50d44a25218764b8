import type { AdapterId } from "../../memory/ids.ts";
import { digestOfFiles } from "../../models/adapter_digest.ts";
import type { AdapterFiles } from "../../models/adapter_files.ts";
import type { AdapterImage } from "../../models/adapter_image.ts";
import { withinTime } from "../../models/within_time.ts";
import { messageOf } from "../message_of.ts";
import type { Command, Loaded, LoadFailed } from "./protocol.ts";

export interface AdapterLoaderOptions {
  /** How long reading an adapter's files may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly read: (directory: string) => Promise<AdapterFiles>;
  /** Checks files against the base model and packs them. */
  readonly pack: (files: AdapterFiles) => AdapterImage;
}

/**
 * Loads adapters side by side: one whose files do not come fails when its time is over and delays no other.
 * A read that hangs goes on, and whoever asks for the same files again waits for that one.
 */
export class AdapterLoader {
  readonly #options: AdapterLoaderOptions;
  readonly #reads = new Map<string, Promise<AdapterFiles>>();

  constructor(options: AdapterLoaderOptions) {
    this.#options = options;
  }

  /** Never rejects: whatever is wrong with an adapter is an answer. */
  async load({ adapter, path }: Command): Promise<Loaded | LoadFailed> {
    const { timeoutMs } = this.#options;
    const late = () =>
      new Error(
        `Cannot load adapter: its files did not come within ${timeoutMs / 1000} s ` +
          `(adapter-load-timeout), received ${path}`,
      );
    try {
      const files = await withinTime(this.#read(adapter, path), timeoutMs, late);
      const image = this.#pack(adapter, files);
      return { kind: "loaded", adapter, image };
    } catch (error) {
      const message = messageOf(error);
      // What is wrong with files themselves is told in these.
      const lasting = [TypeError, RangeError, SyntaxError].some((type) => error instanceof type);
      return { kind: "load_failed", adapter, error: message, ...(!lasting && { passing: true }) };
    }
  }

  #pack(adapter: AdapterId, files: AdapterFiles): AdapterImage {
    const digest = digestOfFiles(files);
    if (digest === adapter) return this.#options.pack(files);
    throw new TypeError(
      `Cannot load adapter: its files are not those that were registered as ${adapter}: register ` +
        `them again, received ${digest} in ${files.directory}`,
    );
  }

  #read(adapter: AdapterId, path: string): Promise<AdapterFiles> {
    const key = `${adapter} ${path}`;
    const running = this.#reads.get(key);
    if (running) return running;
    const read = this.#options.read(path).finally(() => this.#reads.delete(key));
    this.#reads.set(key, read);
    return read;
  }
}
