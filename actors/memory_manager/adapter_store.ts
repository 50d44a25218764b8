import { HostStore } from "../../memory/host_store.ts";
import type { AdapterId, Epoch } from "../../memory/ids.ts";
import { type AdapterImage, type AdapterShape, shapeOf } from "../../models/adapter_image.ts";
import type { Effects } from "./effects.ts";
import { LoadQueue } from "./load_queue.ts";
import type { Command } from "./protocol.ts";
import type { Traffic } from "./traffic.ts";

export interface HostLimits {
  /** Bytes of adapter images in host memory. */
  readonly hostBytes: number;
  /** After a failed load, how long requests are refused before the files are looked at again. */
  readonly retryMs: number;
}

interface Adapter {
  path: string;
  /** Where it was last read from; null: not by this registration. */
  readFrom: string | null;
  /** null until its files were read once, by this engine or an earlier one. */
  shape: AdapterShape | null;
  failure: { readonly error: string; readonly retryAtMs: number } | null;
  /** Since when its files are being read; null: they are not. */
  readSinceMs: number | null;
  /** They came once, so late that their room was gone: this time it is kept until they come or fail. */
  cameLate: boolean;
}

/** A read that takes longer gives up the room that is kept for it, once: files that hang never come. */
const SLOW_MS = 5000;

const newAdapter = (path: string): Adapter => ({
  path,
  readFrom: null,
  shape: null,
  failure: null,
  readSinceMs: null,
  cameLate: false,
});

/** The adapters that are registered, and their images between disk and host memory. */
export class AdapterStore {
  readonly #limits: HostLimits;
  readonly #epoch: Epoch;
  readonly #traffic: Traffic;
  /** Makes an adapter known to page planning; why it can never be on the GPU, or null. */
  readonly #place: (adapter: AdapterId, shape: AdapterShape) => string | null;
  readonly #host: HostStore<AdapterImage>;
  readonly #adapters = new Map<AdapterId, Adapter>();
  readonly #loads = new LoadQueue();
  /** A want was told to wait until these are read; each with all that such wants need beside it. */
  readonly #awaited = new Map<AdapterId, ReadonlySet<AdapterId>>();
  /** Bytes of images that came, since the start. */
  #received = 0;

  constructor(
    limits: HostLimits,
    epoch: Epoch,
    traffic: Traffic,
    place: (adapter: AdapterId, shape: AdapterShape) => string | null,
  ) {
    this.#limits = limits;
    this.#epoch = epoch;
    this.#traffic = traffic;
    this.#place = place;
    this.#host = new HostStore(limits.hostBytes);
  }

  get host(): Pick<HostStore<AdapterImage>, "bytes" | "count" | "evictions" | "kept"> {
    return this.#host;
  }

  /** Bytes of images that came and are not kept, since the start. */
  get dropped(): number {
    return this.#received - this.#host.bytes;
  }

  isRegistered(id: AdapterId): boolean {
    return this.#adapters.has(id);
  }

  /** What is known of an adapter that was read at least once. */
  shape(id: AdapterId): AdapterShape | null {
    return this.#adapters.get(id)?.shape ?? null;
  }

  /** Its image is in host memory. */
  has(id: AdapterId): boolean {
    return this.#host.has(id);
  }

  /** Why a request cannot have this adapter for now, or null; a failure is forgotten when it has lasted. */
  refusal(id: AdapterId, nowMs: number): string | null {
    const adapter = this.#adapters.get(id);
    if (!adapter) return `Cannot use adapter: it is not registered, received ${id}`;
    if (adapter.failure && nowMs >= adapter.failure.retryAtMs) adapter.failure = null;
    return this.#host.has(id) ? null : adapter.failure?.error ?? null;
  }

  register({ adapter: id, path, known }: Extract<Command, { kind: "register" }>, out: Effects) {
    const adapter = this.#adapters.get(id) ?? newAdapter(path);
    this.#adapters.set(id, adapter);
    adapter.path = path;
    adapter.failure = null;
    // Forgotten and not gone yet, or told by an earlier engine: either way there is nothing to read.
    const image = this.#host.get(id);
    const shape = image ? shapeOf(image) : known;
    if (!adapter.shape && shape && this.#unusable(id, shape) === null) adapter.shape = shape;
    if (adapter.shape) this.#tellRegistered(id, adapter.shape, out);
    else this.#loads.register(id);
  }

  /** Makes an adapter unknown: who waits for it hears so, and its image goes when no upload reads it. */
  forget(id: AdapterId, out: Effects): void {
    this.#adapters.delete(id);
    this.#loads.forget(id);
    this.#host.delete(id);
    if (!this.#awaited.delete(id)) return;
    const error = `Cannot use adapter: it is not registered any more, received ${id}`;
    out.former.push({ kind: "adapter_unavailable", adapter: id, error });
  }

  /** Keeps an image, where it is kept at all, from being the next to go. */
  touch(id: AdapterId, tick: number): void {
    this.#host.touch(id, tick);
  }

  /** A want waits for these adapters to be read, and needs `all` of these in host memory at once. */
  wait(absent: readonly AdapterId[], all: readonly AdapterId[]): void {
    for (const id of absent) {
      this.#awaited.set(id, new Set([...this.#awaited.get(id) ?? [], ...all]));
      this.#loads.hurry(id);
    }
  }

  /**
   * Keeps what wants need in host memory together, in the order of `wants`, from being dropped for one another,
   * but for what awaited adapters need first, unless their files are slow to come. Returns how many of the leading
   * wants find room that way: to read for one more would push out what another waits for, and the other way round,
   * for ever.
   */
  claim(wants: readonly (readonly AdapterId[])[], nowMs: number): number {
    const slow = (id: AdapterId) => {
      const { readSinceMs = null, cameLate = false } = this.#adapters.get(id) ?? {};
      return readSinceMs !== null && nowMs - readSinceMs > SLOW_MS && !cameLate;
    };
    const sized = (ids: Iterable<AdapterId>) =>
      new Map([...ids].map((id) => [id, this.shape(id)?.bytes ?? 0]));
    const awaited = [...this.#awaited].filter(([id]) => !slow(id)).map(([, all]) => sized(all));
    return Math.max(0, this.#host.claim([...awaited, ...wants.map(sized)]) - awaited.length);
  }

  /** These will be wanted: they are to be read when nobody waits, and are not the next to be dropped. */
  expect(ids: readonly AdapterId[], tick: number): void {
    for (const id of ids) this.#host.touch(id, tick);
    this.#loads.expect(ids);
  }

  /** Keeps an image in place for an upload, until `letGo`. */
  hold(id: AdapterId, tick: number): AdapterImage {
    return this.#host.hold(id, tick);
  }

  letGo(id: AdapterId): void {
    this.#host.letGo(id);
    if (!this.#adapters.has(id)) this.#host.delete(id);
  }

  /** What the loader is to read now. */
  loadNext(nowMs: number, out: Effects): void {
    const wanting = (id: AdapterId) =>
      !this.#host.has(id) && !this.#adapters.get(id)?.failure &&
      this.#host.couldHold(this.shape(id)?.bytes ?? 0);
    for (let id = this.#loads.next(wanting); id !== null; id = this.#loads.next(wanting)) {
      const adapter = this.#adapters.get(id);
      if (!adapter) {
        this.#loads.ended(id);
        continue;
      }
      adapter.readFrom = adapter.path;
      adapter.readSinceMs = nowMs;
      out.loader.push({ kind: "load", adapter: id, path: adapter.path });
    }
  }

  loaded(id: AdapterId, image: AdapterImage, tick: number, nowMs: number, out: Effects): void {
    const adapter = this.#adapters.get(id);
    if (adapter) this.#traffic.count("diskLoads");
    const shape = shapeOf(image);
    this.#received += shape.bytes;
    const error = adapter && this.#unusable(id, shape);
    if (error) return this.failed(id, error, nowMs, out);
    this.#loads.ended(id);
    if (!adapter) return; // nobody knows it any more
    adapter.readSinceMs = null;
    const first = adapter.shape === null;
    adapter.shape = shape;
    adapter.failure = null;
    if (first) this.#tellRegistered(id, shape, out);
    const awaited = this.#awaited.has(id);
    const wanted = awaited || this.#loads.expects(id);
    if (!wanted && !this.#host.hasRoom(shape.bytes)) return; // read to be checked, not to be kept
    if (!this.#host.put(id, image, shape.bytes, tick)) {
      if (!awaited) return;
      adapter.cameLate = true;
      this.#loads.hurry(id); // read again when an upload has ended
      return;
    }
    adapter.cameLate = false;
    if (this.#awaited.delete(id)) out.former.push({ kind: "adapter_resident", adapter: id });
  }

  /**
   * A load failed: the requests that waited for it fail; one never read before is not even registered. `passing`: it
   * may come another time.
   */
  failed(id: AdapterId, error: string, nowMs: number, out: Effects, passing = false): void {
    this.#loads.ended(id);
    const adapter = this.#adapters.get(id);
    if (!adapter) return;
    adapter.readSinceMs = null;
    adapter.cameLate = false;
    if (adapter.readFrom !== adapter.path) {
      // It has moved meanwhile: what was wrong with the old place says nothing of the new one.
      if (this.#awaited.has(id)) this.#loads.hurry(id);
      else this.#loads.register(id);
      return;
    }
    this.#traffic.count("failedLoads");
    // Clients hear it, and a directory may be that of another tenant's name for equal files.
    const told = error.replaceAll(adapter.path, "its directory");
    adapter.failure = { error: told, retryAtMs: nowMs + this.#limits.retryMs };
    if (!adapter.shape) {
      const rejected = {
        kind: "adapter_rejected",
        epoch: this.#epoch,
        adapter: id,
        error,
      } as const;
      out.events.push(passing ? { ...rejected, passing: true } : rejected);
    }
    if (!this.#awaited.delete(id)) return;
    out.former.push({ kind: "adapter_unavailable", adapter: id, error: told });
  }

  /** @throws {Error} where the images kept and the count of their bytes disagree. */
  checkIntegrity(): void {
    this.#host.checkIntegrity();
  }

  #unusable(id: AdapterId, shape: AdapterShape): string | null {
    const { hostBytes } = this.#limits;
    if (shape.bytes <= hostBytes) return this.#place(id, shape);
    return `Cannot hold adapter ${id}: adapter-host-bytes is ${hostBytes}, ` +
      `received an image of ${shape.bytes} bytes`;
  }

  #tellRegistered(adapter: AdapterId, shape: AdapterShape, out: Effects): void {
    const { rank, bytes } = shape;
    const epoch = this.#epoch;
    out.events.push({ kind: "adapter_registered", epoch, adapter, rank, bytes, shape });
  }
}
