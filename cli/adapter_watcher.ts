import { adapterId } from "../memory/ids.ts";
import type { AdapterRegistry } from "../actors/request_router/registry.ts";
import { adapterDigest } from "../models/adapter_digest.ts";
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  hasPickle,
  PICKLE_REFUSAL,
} from "../models/adapter_files.ts";
import type { AdapterDesk } from "./adapter_desk.ts";
import { adapterSignature, isWhole } from "./adapter_signature.ts";

/** Of the adapters that are there, how many are looked at again in a turn, where the system tells of no changes. */
const SWEPT = 50;

const RETRY_MS = 30_000;

/** Loads under way: one whose files do not come delays no other. */
const LANES = 16;

export interface AdapterWatcherOptions {
  /** Every sub-directory with a PEFT adapter is an adapter named after it. */
  readonly directory: string;
  readonly registry: AdapterRegistry;
  readonly desk: Pick<AdapterDesk, "replace" | "unload">;
  /** Name of the base model. */
  readonly parent: string;
  /** What the operator is told. */
  readonly print: (line: string) => void;
  /** After how long files that could not be read are tried again; absent: RETRY_MS. */
  readonly retryMs?: number;
}

/** What is known of a sub-directory: by size and time of both files. */
interface Seen {
  /** As it was at the last look. */
  last: string;
  /** As it was when it was loaded, or found unusable; null: not yet. */
  taken: string | null;
  /** When to read it again, since that failed for a reason that may pass; Infinity: it is being read. */
  retryAt?: number;
}

/** Keeps the registry as a directory is: what is dropped in appears, what changes is a new revision. */
export class AdapterWatcher {
  readonly #options: AdapterWatcherOptions;
  readonly #seen = new Map<string, Seen>();
  /** Names that the system says have changed. */
  readonly #dirty = new Set<string>();
  /** Names to be loaded as soon as there is a lane. */
  readonly #waiting = new Set<string>();
  readonly #loading = new Set<Promise<void>>();
  readonly #unloading = new Set<Promise<void>>();
  /** Names below which the system does not let us look, of which the operator knows. */
  readonly #closed = new Set<string>();
  #swept = 0;
  /** When the directory was last listed, and its times then. */
  #listedAt = -Infinity;
  #listed = "";
  #looking = false;
  /** The last look failed, and the operator knows. */
  #broken = false;

  constructor(options: AdapterWatcherOptions) {
    this.#options = options;
  }

  /**
   * Asks the system to tell of changes from now on: before anyone is served, since for thousands of directories
   * that holds up the thread. @throws {TypeError} where `directory` is no directory.
   */
  async open(): Promise<void> {
    await this.#list();
    this.#listedAt = -Infinity;
    void this.#listen();
  }

  /** Adds everything that is there, one after the other; the engine's word on it is in the registry later. */
  async start(): Promise<void> {
    const { registry, parent, print } = this.#options;
    for (const name of await this.#list()) {
      const path = this.#path(name);
      try {
        const last = await adapterSignature(path);
        if (last === null) {
          if (await hasPickle(path)) throw new TypeError(PICKLE_REFUSAL);
          throw new TypeError(`expected the files ${ADAPTER_CONFIG} and ${ADAPTER_WEIGHTS}`);
        }
        registry.add({ name, id: adapterId(await adapterDigest(path)), path, parent });
        this.#seen.set(name, { last, taken: last });
      } catch (error) {
        print(`Cannot register adapter: ${(error as Error).message}, received ${path}`);
        let last: string | null = null;
        try {
          last = await adapterSignature(path);
        } catch {
          this.#closed.add(name);
        }
        // What lacks a file may only be on its way.
        this.#seen.set(name, { last: last ?? "", taken: last });
      }
    }
  }

  /** Looks every `everyMs` from now on. */
  watch(everyMs: number): void {
    setInterval(() => void this.look(), everyMs);
  }

  /** One look: a file that has not changed since the last one is taken to be whole, if its header agrees. */
  async look(): Promise<void> {
    if (this.#looking) return; // one directory on a slow disk at a time
    this.#looking = true;
    try {
      const names = new Set(await this.#list());
      for (const name of this.#seen.keys()) if (!names.has(name)) this.#gone(name);
      for (const name of this.#due(names)) await this.#lookAt(name);
      this.#broken = false;
    } catch (error) {
      // What cannot be looked at is not gone: a disk that hangs must not take adapters from those who use them.
      if (!this.#broken) this.#options.print((error as Error).message);
      this.#broken = true;
    } finally {
      this.#looking = false;
    }
  }

  /** Resolves when what was found has been loaded, or refused. */
  async settled(): Promise<void> {
    while (this.#loading.size + this.#unloading.size > 0) {
      await Promise.all([...this.#loading, ...this.#unloading]);
    }
  }

  #path(name: string): string {
    return `${this.#options.directory}/${name}`;
  }

  /** @throws {TypeError} where the directory cannot be read. */
  async #list(): Promise<string[]> {
    const { directory } = this.#options;
    const names: string[] = [];
    try {
      const { mtime, ctime } = await Deno.stat(directory);
      const times = `${mtime?.getTime()} ${ctime?.getTime()}`;
      const changedAt = Math.max(mtime?.getTime() ?? Infinity, ctime?.getTime() ?? 0);
      // Compared and not only old: rsync gives a directory the time that it had elsewhere, and a file server may have
      // another clock. Its times may also be those of an earlier look within the same moment.
      if (times === this.#listed && changedAt + 2000 < this.#listedAt) {
        return [...this.#seen.keys()];
      }
      [this.#listedAt, this.#listed] = [Date.now(), times];
      for await (const entry of Deno.readDir(directory)) {
        if (entry.isDirectory || entry.isSymlink) names.push(entry.name);
      }
    } catch (error) {
      throw new TypeError(
        `Cannot read adapters: ${(error as Error).message}, received ${JSON.stringify(directory)}`,
      );
    }
    return names.sort();
  }

  /** What is new or unfinished, what the system says has changed, and some of the rest in turn. */
  #due(names: ReadonlySet<string>): Set<string> {
    const due = new Set<string>();
    for (const name of names) {
      const seen = this.#seen.get(name);
      if (!seen || seen.taken !== seen.last || this.#dirty.has(name)) due.add(name);
    }
    this.#dirty.clear();
    const all = [...names];
    const count = Math.min(SWEPT, all.length);
    for (let i = 0; i < count; i++) due.add(all[this.#swept++ % all.length] ?? "");
    return due;
  }

  async #lookAt(name: string): Promise<void> {
    const path = this.#path(name);
    const seen = this.#seen.get(name);
    let now: string | null;
    try {
      now = await adapterSignature(path);
    } catch (error) {
      // It is not gone, and no reason not to look at the others. It is looked at until that can be.
      this.#seen.set(name, { last: "", taken: seen?.taken ?? null });
      if (!this.#closed.has(name)) {
        this.#options.print(
          `Cannot look at adapter: ${(error as Error).message}, received ${path}`,
        );
      }
      this.#closed.add(name);
      return;
    }
    this.#closed.delete(name);
    if (now === null) {
      if (seen?.taken) this.#gone(name);
      // Its files may come long after it: it is looked at until they do.
      this.#seen.set(name, { last: "", taken: null });
      return;
    }
    if (!seen || seen.last !== now) {
      this.#seen.set(name, { last: now, taken: seen?.taken ?? null });
      return;
    }
    if ((seen.taken === now && !this.#mayRetry(name, seen)) || !await isWhole(path)) return;
    seen.taken = now;
    seen.retryAt = Infinity;
    this.#waiting.add(name);
    this.#loadNext();
  }

  /** Its files could not be read: by us, or by the engine what was there at the start. */
  #mayRetry(name: string, { retryAt }: Seen): boolean {
    if (retryAt !== undefined) return performance.now() >= retryAt;
    const known = this.#options.registry.get(name);
    return known?.path === this.#path(name) && known.state.kind === "rejected" &&
      known.state.passing === true;
  }

  #loadNext(): void {
    for (const name of this.#waiting) {
      if (this.#loading.size >= LANES) return;
      this.#waiting.delete(name);
      const loading = this.#load(name).finally(() => {
        this.#loading.delete(loading);
        this.#loadNext();
      });
      this.#loading.add(loading);
    }
  }

  async #load(name: string): Promise<void> {
    const { desk, print, retryMs = RETRY_MS } = this.#options;
    const path = this.#path(name);
    const seen = this.#seen.get(name);
    try {
      const refusal = await desk.replace(name, path);
      if (seen && refusal?.passing) seen.retryAt = performance.now() + retryMs;
      print(refusal ? refusal.why : `adapters: ${name} is loaded`);
    } catch (error) {
      print(`Cannot load adapter: ${(error as Error).message}, received ${path}`);
    }
  }

  /** Its files are not there any more. Not awaited: it may be being loaded, by whom only its own name is to wait for. */
  #gone(name: string): void {
    this.#seen.delete(name);
    this.#waiting.delete(name);
    this.#closed.delete(name);
    const unloading = this.#unload(name).finally(() => this.#unloading.delete(unloading));
    this.#unloading.add(unloading);
  }

  async #unload(name: string): Promise<void> {
    const { desk, print } = this.#options;
    // One that was loaded from elsewhere since stays.
    if (await desk.unload(name, this.#path(name))) print(`adapters: ${name} is gone`);
  }

  /** Lets the system tell of changes, where it can: sweeping a large directory takes its time. */
  async #listen(): Promise<void> {
    try {
      const top = await Deno.realPath(this.#options.directory);
      for await (const { kind, paths } of Deno.watchFs(top)) {
        if (kind === "access") continue; // our own reading
        for (const path of paths) {
          const [name] = path.slice(top.length + 1).split("/");
          if (name) this.#dirty.add(name);
        }
      }
    } catch {
      // No such service here, or no room in it for so many directories: they are swept.
    }
  }
}
