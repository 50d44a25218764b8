import { isAbsolute, relative } from "node:path";
import type { AdapterPlaces } from "../actors/request_router/protocol.ts";
import type { AdapterRegistry, RegisteredAdapter } from "../actors/request_router/registry.ts";
import { adapterId } from "../memory/ids.ts";
import { adapterDigest } from "../models/adapter_digest.ts";
import type { AdapterAdmin, DescribedAdapter, LoadRefusal } from "../routes/adapter_admin.ts";

export interface AdapterDeskOptions {
  readonly registry: AdapterRegistry;
  /** Name of the base model. */
  readonly parent: string;
  /** Directories below which an adapter's files must lie, for those who load by path. */
  readonly roots: readonly string[];
  /** Where adapters are; null where there is no engine to say so. */
  readonly places: () => Promise<AdapterPlaces | null>;
}

/** Loads and unloads adapters by name, one change of a name after the other. */
export class AdapterDesk implements AdapterAdmin {
  readonly #options: AdapterDeskOptions;
  /** The last change of each name that is under way. */
  readonly #changes = new Map<string, Promise<unknown>>();

  constructor(options: AdapterDeskOptions) {
    this.#options = options;
  }

  async load(name: string, path: string, inPlace: boolean): Promise<LoadRefusal | null> {
    const { registry } = this.#options;
    return await this.#inTurn(name, async () => {
      if (!inPlace && registry.get(name)) {
        return { kind: "exists", why: `The lora adapter '${name}' has already been loaded.` };
      }
      const found = await this.#within(path);
      return typeof found === "string" ? await this.#take(name, found) : found;
    });
  }

  /** As `load` in place, for a path that is the operator's own. */
  async replace(name: string, path: string): Promise<LoadRefusal | null> {
    return await this.#inTurn(name, () => this.#take(name, path));
  }

  /** With a `path`: only where it was loaded from there. */
  async unload(name: string, path?: string): Promise<boolean> {
    const { registry } = this.#options;
    return await this.#inTurn(name, () => {
      const meant = path === undefined || registry.get(name)?.path === path;
      return Promise.resolve(meant && registry.remove(name));
    });
  }

  has(name: string): boolean {
    return this.#options.registry.get(name) !== null;
  }

  async pin(name: string): Promise<string | null> {
    return await this.#options.registry.pin(name);
  }

  unpin(name: string): void {
    this.#options.registry.unpin(name);
  }

  async list(tenant?: string): Promise<DescribedAdapter[]> {
    const places = await this.#options.places();
    const [host, gpu] = [new Set(places?.host), new Set(places?.gpu)];
    return this.#options.registry.list(tenant).map((adapter) => {
      const { name, parent, path, readFrom, id, state, requests } = adapter;
      const registered = state.kind === "registered" ? state : null;
      return {
        name,
        parent,
        path,
        readFrom,
        revision: id,
        state: whereabouts(adapter, host.has(id), gpu.has(id)),
        error: state.kind === "rejected" ? state.error : null,
        rank: registered?.rank ?? null,
        bytes: registered?.bytes ?? null,
        requests,
      };
    });
  }

  async #take(name: string, path: string): Promise<LoadRefusal | null> {
    const { registry, parent } = this.#options;
    let digest: string;
    try {
      digest = await adapterDigest(path);
    } catch (error) {
      const why = `No adapter found for ${path}: ${(error as Error).message}`;
      if (error instanceof Deno.errors.NotFound) return { kind: "not_found", why };
      const unread = !(error instanceof TypeError);
      return { kind: "invalid", why, ...(unread && { passing: true }) };
    }
    try {
      const state = await registry.load({ name, id: adapterId(digest), path, parent });
      if (state.kind !== "rejected") return null;
      const { error: why, passing } = state;
      return { kind: "invalid", why, ...(passing && { passing }) };
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return { kind: "invalid", why: error.message };
    }
  }

  /**
   * Where `path` really leads, if that is below one of the roots; relative ones are looked for in each. The answer
   * begins with the root as it was given, for by that name the engine may read it.
   */
  async #within(path: string): Promise<string | LoadRefusal> {
    const { roots } = this.#options;
    for (const root of roots) {
      const top = await realPath(root);
      const real = top && await realPath(isAbsolute(path) ? path : `${top}/${path}`);
      if (!top || !real) continue;
      const below = relative(top, real);
      // "..data", unlike "../data", lies below: Kubernetes mounts volumes that way.
      if (below !== "" && !/^\.\.(\/|$)/.test(below) && !isAbsolute(below)) {
        return `${root}/${below}`;
      }
    }
    // What is outside and what is not there must look alike: nobody is to learn of the machine's other files.
    return {
      kind: "not_found",
      why: `No adapter found for ${path}: expected a directory below one of the adapter roots.`,
    };
  }

  async #inTurn<T>(name: string, change: () => Promise<T>): Promise<T> {
    const before = this.#changes.get(name) ?? Promise.resolve();
    const mine = before.then(change, change);
    this.#changes.set(name, mine);
    try {
      return await mine;
    } finally {
      if (this.#changes.get(name) === mine) this.#changes.delete(name);
    }
  }
}

/** null for whatever leads nowhere: not there, through a file, round in a circle, or no path at all. */
async function realPath(path: string): Promise<string | null> {
  try {
    return await Deno.realPath(path);
  } catch {
    return null;
  }
}

function whereabouts(
  { state, pinned }: RegisteredAdapter,
  inHost: boolean,
  onGpu: boolean,
): DescribedAdapter["state"] {
  if (state.kind !== "registered") return state.kind;
  if (pinned) return "pinned";
  return onGpu ? "gpu" : inHost ? "host" : "registered";
}
