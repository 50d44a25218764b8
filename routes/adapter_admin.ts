/** Why an adapter was not loaded. */
export type LoadRefusal = {
  readonly kind: "exists" | "not_found" | "invalid";
  readonly why: string;
  /** The files could not be read, and may be the next time. */
  readonly passing?: true;
};

/** Adapters as their operators see them. */
export interface AdapterAdmin {
  /**
   * Makes `name` stand for the PEFT directory at `path`, once the engine has taken it; null where it has. A name
   * in use is refused, unless `inPlace`.
   */
  load(name: string, path: string, inPlace: boolean): Promise<LoadRefusal | null>;
  /** The name is unknown at once; memory is free when the last request that uses it has ended. False: unknown. */
  unload(name: string): Promise<boolean>;
  has(name: string): boolean;
  /** Keeps it on the GPU; why that cannot be, or null. */
  pin(name: string): Promise<string | null>;
  unpin(name: string): void;
  /** With a `tenant`: with its requests alone, else with everybody's. */
  list(tenant?: string): Promise<readonly DescribedAdapter[]>;
}

export interface DescribedAdapter {
  readonly name: string;
  readonly parent: string;
  readonly path: string;
  /** Where its files are read: the path of another name, maybe, where they are equal. */
  readonly readFrom: string;
  /** SHA-256 of its files. */
  readonly revision: string;
  /** Where it is now; `registered`: on disk, ready to be read. */
  readonly state: "registering" | "rejected" | "registered" | "host" | "gpu" | "pinned";
  /** Why it was rejected. */
  readonly error: string | null;
  readonly rank: number | null;
  /** Of its image. */
  readonly bytes: number | null;
  /** Requests that use its files and have not ended. */
  readonly requests: { readonly running: number; readonly waiting: number };
}
