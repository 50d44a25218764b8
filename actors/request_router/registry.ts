import type { AdapterId } from "../../memory/ids.ts";
import type { AdapterShape } from "../../models/adapter_image.ts";
import type { EngineCommand } from "../engine_protocol.ts";
import type { EngineEvent } from "./protocol.ts";

/** An adapter as its operator named it. */
export interface AdapterEntry {
  readonly name: string;
  readonly id: AdapterId;
  /** A PEFT directory, as the engine process sees it. */
  readonly path: string;
  /** Name of the base model. */
  readonly parent: string;
}

export type AdapterState =
  | { readonly kind: "registering" }
  | { readonly kind: "registered"; readonly rank: number; readonly bytes: number }
  | { readonly kind: "rejected"; readonly error: string };

export interface RegisteredAdapter extends AdapterEntry {
  readonly state: AdapterState;
}

type AdapterEvent = Extract<EngineEvent, { kind: "adapter_registered" | "adapter_rejected" }>;

/** The adapters by name, and what the engine thinks of them; it outlives every engine. */
export class AdapterRegistry {
  readonly #entries = new Map<string, AdapterEntry>();
  readonly #states = new Map<AdapterId, AdapterState>();
  readonly #names = new Map<AdapterId, string[]>();
  /** What an engine found in the files: the next one need not read them again to know. */
  readonly #shapes = new Map<AdapterId, AdapterShape>();
  /** In the order of their arrival; two names of the same files are one adapter. */
  readonly #commands: Extract<EngineCommand, { kind: "register" }>[] = [];

  /** The command for the engine, or null where it has been told of these files before. */
  add(entry: AdapterEntry): EngineCommand | null {
    const known = this.#entries.get(entry.name);
    if (known) {
      throw new RangeError(
        `Cannot register adapter: expected a new name, received "${entry.name}", which is ${known.path}`,
      );
    }
    this.#entries.set(entry.name, entry);
    this.#names.set(entry.id, [...this.namesOf(entry.id), entry.name]);
    if (this.#states.has(entry.id)) return null;
    this.#states.set(entry.id, { kind: "registering" });
    const command = { kind: "register", adapter: entry.id, path: entry.path } as const;
    this.#commands.push(command);
    return command;
  }

  get(name: string): RegisteredAdapter | null {
    const entry = this.#entries.get(name);
    return entry ? this.#withState(entry) : null;
  }

  /** All names of the same files. */
  namesOf(id: AdapterId): readonly string[] {
    return this.#names.get(id) ?? [];
  }

  list(): RegisteredAdapter[] {
    return [...this.#entries.values()].map((entry) => this.#withState(entry));
  }

  /** What a new engine must be told, from the `from`-th on; the list only grows. */
  commands(from = 0): readonly EngineCommand[] {
    return this.#commands.slice(from).map((command) => {
      const known = this.#shapes.get(command.adapter);
      return known ? { ...command, known } : command;
    });
  }

  /** Takes the engine's word on an adapter. */
  note(event: AdapterEvent): void {
    if (!this.#states.has(event.adapter)) return;
    if (event.kind === "adapter_registered" && event.shape) {
      this.#shapes.set(event.adapter, event.shape);
    }
    this.#states.set(
      event.adapter,
      event.kind === "adapter_registered"
        ? { kind: "registered", rank: event.rank, bytes: event.bytes }
        : { kind: "rejected", error: event.error },
    );
  }

  #withState(entry: AdapterEntry): RegisteredAdapter {
    return { ...entry, state: this.#states.get(entry.id) ?? { kind: "registering" } };
  }
}
