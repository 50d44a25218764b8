import { messageOf } from "../actors/message_of.ts";
import { adapterId } from "../memory/ids.ts";
import type { AdapterRegistry } from "../actors/request_router/registry.ts";
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  hasPickle,
  PICKLE_REFUSAL,
} from "../models/adapter_files.ts";
import { withinTime } from "../models/within_time.ts";
import type { AdapterDesk } from "./adapter_desk.ts";
import { DirectoryListing } from "./directory_listing.ts";
import { ADAPTER_LOOK, type AdapterLook } from "./adapter_signature.ts";

/** Of the adapters that are there, how many are looked at again in a turn, where the system tells of no changes. */
const SWEPT = 50;

const RETRY_MS = 30_000;
const PATIENCE_MS = 10_000;

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
  /** How long to wait for one adapter's files before going on to others; absent: PATIENCE_MS. */
  readonly patienceMs?: number;
  /** How files are looked at; absent: as they are. */
  readonly files?: AdapterLook;
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
  /** Names whose files have not answered yet: they are not asked again meanwhile. */
  readonly #stuck = new Set<string>();
  #swept = 0;
  readonly #listing: DirectoryListing;
  #looking = false;
  /** The last look failed, and the operator knows. */
  #broken = false;

  constructor(options: AdapterWatcherOptions) {
    this.#options = options;
    this.#listing = new DirectoryListing(options.directory);
  }

  /**
   * Asks the system to tell of changes from now on: before anyone is served, since for thousands of directories
   * that holds up the thread. @throws {TypeError} where `directory` is no directory.
   */
  async open(): Promise<void> {
    await DirectoryListing.check(this.#options.directory);
    void this.#listen();
  }

  /** Adds everything that is there, one after the other; the engine's word on it is in the registry later. */
  async start(): Promise<void> {
    const { registry, parent, print, retryMs = RETRY_MS } = this.#options;
    for (const name of await this.#listing.names()) {
      const path = this.#path(name);
      // What lacks a file may only be on its way, and what does not answer may do so later.
      const seen: Seen = { last: "", taken: null };
      this.#seen.set(name, seen);
      try {
        const digest = await this.#inTime(name, this.#identify(name, seen));
        registry.add({ name, id: adapterId(digest), path, parent });
      } catch (error) {
        if (this.#stuck.has(name)) seen.retryAt = performance.now() + retryMs;
        print(complaint("register adapter", error, path));
      }
    }
  }

  /** The digest of an adapter's files; those that are there and cannot be used are left alone until they change. */
  async #identify(name: string, seen: Seen): Promise<string> {
    const { files = ADAPTER_LOOK } = this.#options;
    const path = this.#path(name);
    const last = await files.signature(path).catch((error) => {
      this.#closed.add(name);
      throw error;
    });
    if (last === null) {
      if (await hasPickle(path)) throw new TypeError(PICKLE_REFUSAL);
      throw new TypeError(`expected the files ${ADAPTER_CONFIG} and ${ADAPTER_WEIGHTS}`);
    }
    seen.last = seen.taken = last;
    return await files.digest(path);
  }

  /** Waits for an adapter's files, but not for ever: others are to be looked at too. */
  async #inTime<T>(name: string, looking: Promise<T>): Promise<T> {
    const { patienceMs = PATIENCE_MS } = this.#options;
    this.#stuck.add(name);
    const answered = () => void this.#stuck.delete(name);
    looking.then(answered, answered);
    const late = () => new Error(`its files did not answer within ${patienceMs / 1000} s`);
    return await withinTime(looking, patienceMs, late);
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
      const names = new Set(await this.#listing.names());
      for (const name of this.#seen.keys()) if (!names.has(name)) this.#gone(name);
      for (const name of this.#due(names)) {
        await this.#inTime(name, this.#lookAt(name)).catch((error) =>
          this.#options.print(complaint("look at adapter", error, this.#path(name)))
        );
      }
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
    return due.difference(this.#stuck);
  }

  async #lookAt(name: string): Promise<void> {
    const path = this.#path(name);
    const seen = this.#seen.get(name);
    const { files = ADAPTER_LOOK } = this.#options;
    let now: string | null;
    try {
      now = await files.signature(path);
    } catch (error) {
      // It is not gone, and no reason not to look at the others. It is looked at until that can be.
      this.#seen.set(name, { last: "", taken: seen?.taken ?? null });
      if (!this.#closed.has(name)) {
        this.#options.print(complaint("look at adapter", error, path));
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
    if ((seen.taken === now && !this.#mayRetry(name, seen)) || !await files.isWhole(path)) return;
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
      else delete seen?.retryAt;
      print(refusal ? refusal.why : `adapters: ${name} is loaded`);
    } catch (error) {
      if (seen) seen.retryAt = performance.now() + retryMs;
      print(complaint("load adapter", error, path));
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

/** An error of our own says by itself what cannot be done, and with what. */
function complaint(task: string, error: unknown, path: string): string {
  const why = messageOf(error);
  return why.startsWith("Cannot ") ? why : `Cannot ${task}: ${why}, received ${path}`;
}
