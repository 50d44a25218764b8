import type { AdapterId } from "../../memory/ids.ts";
import type { AdapterCommand } from "../engine_protocol.ts";
import { checkAdapterName } from "./adapter_name.ts";
import type { EngineEvent } from "./protocol.ts";
import {
  type AdapterEntry,
  type AdapterState,
  count,
  countOf,
  newRevision,
  registering,
  type RequestCount,
  type Revision,
} from "./revision.ts";

/** What a name stands for at this moment. */
export interface RegisteredAdapter extends AdapterEntry {
  readonly state: AdapterState;
  /** Where its files are read, which are equal under all their names. */
  readonly readFrom: string;
  readonly pinned: boolean;
  /** Requests with these files, under any name, that have not ended: those that have had a token, and the rest. */
  readonly requests: RequestCount;
}

type AdapterEvent = Extract<
  EngineEvent,
  { kind: "adapter_registered" | "adapter_rejected" | "adapter_pinned" }
>;

/**
 * The adapters by name, and what the engine thinks of their files; it outlives every engine. New files under an
 * old name are another revision: requests that use the old one keep it, and it is unregistered with the last.
 */
export class AdapterRegistry {
  readonly #entries = new Map<string, AdapterEntry>();
  readonly #revisions = new Map<AdapterId, Revision>();
  /** Those of which a name is pinned: asked for with every request, where all may be thousands. */
  readonly #pinned = new Set<AdapterId>();
  /** Revisions of which the engine has said nothing yet. */
  #undecided = 0;
  #changes = 0;
  #follower: (command: AdapterCommand) => void = () => {};

  /** Tells `follower` of each change from now on; there is one at a time. */
  follow(follower: (command: AdapterCommand) => void): void {
    this.#follower = follower;
  }

  /** @throws {RangeError} where the name cannot be used, or is used. */
  add(entry: AdapterEntry): void {
    const known = this.#entries.get(entry.name);
    if (known) {
      throw new RangeError(
        `Cannot register adapter: expected a new name, received "${entry.name}", which is ${known.path}`,
      );
    }
    checkAdapterName(entry);
    this.#take(entry, this.#revision(entry));
  }

  /**
   * Makes the name stand for these files as soon as the engine has taken them; until then, and where it does not,
   * what it stood for stays. Returns what the engine said. @throws {RangeError} where the name cannot be used.
   */
  async load(entry: AdapterEntry): Promise<AdapterState> {
    checkAdapterName(entry);
    const revision = this.#revision(entry);
    revision.uses++; // not to be forgotten meanwhile
    try {
      const state = revision.state.kind === "registering"
        ? await verdictOn(revision)
        : revision.state;
      if (state.kind !== "registered") return state;
      const before = this.#entries.get(entry.name);
      this.#take(entry, revision);
      this.#settlePath(revision);
      if (!before || before.id === entry.id) return state;
      const pinned = this.#revisions.get(before.id)?.pins.has(entry.name);
      this.#leave(before);
      if (pinned) await this.pin(entry.name);
      return state;
    } finally {
      revision.uses--;
      this.#retire(revision);
    }
  }

  /** The name is unknown from now on; false where it was. */
  remove(name: string): boolean {
    const entry = this.#entries.get(name);
    if (!entry) return false;
    this.#entries.delete(name);
    this.#changes++;
    this.#leave(entry);
    return true;
  }

  /** A request, of `tenant` where it is somebody's, uses these files until `release`. */
  hold(id: AdapterId, tenant: string | null = null): void {
    const revision = this.#revisions.get(id);
    if (!revision) return;
    revision.uses++;
    count(revision, tenant, { running: 0, waiting: 1 });
  }

  /** A request that holds them has its first token. */
  began(id: AdapterId, tenant: string | null = null): void {
    const revision = this.#revisions.get(id);
    if (revision) count(revision, tenant, { running: 1, waiting: -1 });
  }

  /** The request has ended; `begun`: after its first token. */
  release(id: AdapterId, begun: boolean, tenant: string | null = null): void {
    const revision = this.#revisions.get(id);
    if (!revision) return;
    revision.uses--;
    count(revision, tenant, begun ? { running: -1, waiting: 0 } : { running: 0, waiting: -1 });
    this.#retire(revision);
  }

  /** Keeps what the name stands for on the GPU; why that cannot be, or null. */
  async pin(name: string): Promise<string | null> {
    const revision = this.#named(name);
    if (!revision) return `Cannot pin adapter: it is unknown, received "${name}"`;
    if (revision.state.kind === "registering") {
      // How much room it needs is not known before. Then the name may stand for something else.
      revision.uses++;
      await verdictOn(revision);
      revision.uses--;
      this.#retire(revision);
      return await this.pin(name);
    }
    if (revision.state.kind === "rejected") return revision.state.error;
    revision.pins.add(name);
    this.#pinned.add(revision.id);
    if (revision.pinned) return null;
    revision.pinVerdict ??= Promise.withResolvers();
    this.#follower({ kind: "pin", adapter: revision.id });
    return await revision.pinVerdict.promise;
  }

  /** Lets what the name stands for go again, unless another name of it is pinned. */
  unpin(name: string): void {
    const revision = this.#named(name);
    if (revision) this.#unpin(revision, name);
  }

  get(name: string): RegisteredAdapter | null {
    const entry = this.#entries.get(name);
    return entry ? this.#withState(entry) : null;
  }

  /** Another number after each change of what a name stands for. */
  get changes(): number {
    return this.#changes;
  }

  /** All names of the same files. */
  namesOf(id: AdapterId): readonly string[] {
    return [...this.#revisions.get(id)?.names ?? []];
  }

  /** All of them; where a tenant asks, with its own requests alone. */
  list(tenant?: string): RegisteredAdapter[] {
    return [...this.#entries.values()].map((entry) => this.#withState(entry, tenant));
  }

  /** Pages of a layer's pool that these and the pinned ones take, as far as an engine has said so. */
  pages(adapters: readonly AdapterId[]): number {
    const all = [...new Set([...adapters, ...this.#pinned])];
    return all.reduce((sum, id) => sum + (this.#revisions.get(id)?.shape?.layerPages ?? 0), 0);
  }

  /** How many revisions there are, and of how many the engine has said what it thinks. */
  get progress(): { readonly decided: number; readonly all: number } {
    const all = this.#revisions.size;
    return { decided: all - this.#undecided, all };
  }

  /** What a new engine must be told; what changes later, the follower hears. */
  commands(): AdapterCommand[] {
    return [...this.#revisions.values()].flatMap((revision) => {
      const { id: adapter, pins } = revision;
      return pins.size > 0
        ? [registering(revision), { kind: "pin", adapter }]
        : [registering(revision)];
    });
  }

  /** Takes the engine's word on an adapter. */
  note(event: AdapterEvent): void {
    const revision = this.#revisions.get(event.adapter);
    if (!revision) return;
    if (event.kind === "adapter_pinned") {
      if (event.error !== null) {
        revision.pins.clear();
        this.#pinned.delete(revision.id);
      }
      revision.pinned = revision.pins.size > 0;
      revision.pinVerdict?.resolve(event.error);
      revision.pinVerdict = null;
      return;
    }
    if (revision.state.kind === "registering") this.#undecided--;
    if (event.kind === "adapter_registered") {
      revision.shape = event.shape ?? revision.shape;
      revision.state = { kind: "registered", rank: event.rank, bytes: event.bytes };
    } else {
      const { error, passing } = event;
      revision.state = { kind: "rejected", error, ...(passing && { passing }) };
    }
    revision.verdict?.resolve(revision.state);
    revision.verdict = null;
  }

  #unpin(revision: Revision, name: string): void {
    if (!revision.pins.delete(name) || revision.pins.size > 0) return;
    revision.pinned = false;
    this.#pinned.delete(revision.id);
    // A new engine hears of no pin, and an old one's word may never come.
    revision.pinVerdict?.resolve(
      `Cannot pin adapter: it was unpinned meanwhile, received "${name}"`,
    );
    revision.pinVerdict = null;
    this.#follower({ kind: "unpin", adapter: revision.id });
  }

  #named(name: string): Revision | undefined {
    const entry = this.#entries.get(name);
    return entry && this.#revisions.get(entry.id);
  }

  /** The files' revision, which the engine hears of where they are new, or where they were refused before. */
  #revision({ id, path }: AdapterEntry): Revision {
    const known = this.#revisions.get(id);
    if (known && known.state.kind !== "rejected") return known;
    const revision = known ?? newRevision(id, path);
    revision.path = path;
    revision.state = { kind: "registering" };
    this.#undecided++;
    this.#revisions.set(id, revision);
    this.#follower(registering(revision));
    return revision;
  }

  #take(entry: AdapterEntry, revision: Revision): void {
    this.#entries.set(entry.name, entry);
    this.#changes++;
    revision.names.add(entry.name);
  }

  /** The entry's name does not stand for its files any more. */
  #leave({ name, id }: AdapterEntry): void {
    const revision = this.#revisions.get(id);
    if (!revision) return;
    revision.names.delete(name);
    this.#unpin(revision, name);
    this.#settlePath(revision);
    this.#retire(revision);
  }

  /** Files are read where a name has them: what no name stands for any more may be removed. */
  #settlePath(revision: Revision): void {
    let other: string | null = null;
    for (const name of revision.names) {
      const path = this.#entries.get(name)?.path ?? null;
      if (path === revision.path) return;
      other ??= path;
    }
    if (other === null) return;
    revision.path = other;
    this.#follower(registering(revision));
  }

  #retire({ id, names, uses, state, pinVerdict }: Revision): void {
    if (names.size > 0 || uses > 0) return;
    if (state.kind === "registering") this.#undecided--;
    pinVerdict?.resolve(`Cannot pin adapter: it is not registered any more, received ${id}`);
    this.#revisions.delete(id);
    this.#follower({ kind: "unregister", adapter: id });
  }

  #withState(entry: AdapterEntry, tenant?: string): RegisteredAdapter {
    const revision = this.#revisions.get(entry.id);
    if (!revision) {
      throw new Error(`Cannot name adapter: its revision is gone, received ${entry.id}`);
    }
    const { state, path: readFrom, pinned } = revision;
    return { ...entry, state, readFrom, pinned, requests: countOf(revision, tenant) };
  }
}

/** Resolves with what the engine says next of the files. */
const verdictOn = (revision: Revision): Promise<AdapterState> =>
  (revision.verdict ??= Promise.withResolvers()).promise;
