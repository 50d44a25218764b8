import type { AdapterPlaces } from "../actors/request_router/protocol.ts";
import type { AdapterRegistry } from "../actors/request_router/registry.ts";
import { AdapterDesk } from "./adapter_desk.ts";
import { AdapterWatcher } from "./adapter_watcher.ts";

/** How often the directory is looked at: what is dropped in must be seen twice, and appear within 2 s. */
const LOOK_MS = 500;

/** Where a server's adapters come from: its directory, and its admins. */
export class AdapterSupply {
  /** Directories that the engine must be able to read. */
  readonly roots: readonly string[];
  readonly desk: AdapterDesk;
  readonly #watcher: AdapterWatcher | null;
  #listed: boolean;

  /** @throws {TypeError} where `directory` is no directory. */
  static async open(options: {
    readonly registry: AdapterRegistry;
    /** Name of the base model. */
    readonly parent: string;
    /** Its sub-directories are adapters; undefined: there is none. */
    readonly directory: string | undefined;
    /** From which admins may load others. */
    readonly roots: readonly string[];
    readonly places: () => Promise<AdapterPlaces | null>;
  }): Promise<AdapterSupply> {
    const { registry, parent, directory, places } = options;
    const roots = [...directory === undefined ? [] : [directory], ...options.roots];
    const desk = new AdapterDesk({ registry, parent, roots, places });
    const print = (line: string) => console.error(line);
    const watcher = directory === undefined
      ? null
      : new AdapterWatcher({ directory, registry, desk, parent, print });
    await watcher?.open();
    return new AdapterSupply(roots, desk, watcher);
  }

  private constructor(roots: readonly string[], desk: AdapterDesk, watcher: AdapterWatcher | null) {
    this.roots = roots;
    this.desk = desk;
    this.#watcher = watcher;
    this.#listed = watcher === null;
  }

  /** What was in the directory at the start is in the registry. */
  get listed(): boolean {
    return this.#listed;
  }

  /** Adds what is in the directory, and follows it from then on. */
  async start(): Promise<void> {
    await this.#watcher?.start();
    this.#watcher?.watch(LOOK_MS);
    this.#listed = true;
  }
}
