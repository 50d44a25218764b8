import type { AdapterId } from "../../memory/ids.ts";
import type { AdapterImage } from "../../models/adapter_image.ts";

/** Reads a PEFT directory, checks it against the base model and packs it for the GPU. */
export type Command = {
  readonly kind: "load";
  readonly adapter: AdapterId;
  readonly path: string;
};

export type Loaded = {
  readonly kind: "loaded";
  readonly adapter: AdapterId;
  readonly image: AdapterImage;
};

export type LoadFailed = {
  readonly kind: "load_failed";
  readonly adapter: AdapterId;
  readonly error: string;
  /** It was the reading that failed, not what was read: another time it may succeed. */
  readonly passing?: true;
};

export type Event = Loaded | LoadFailed;
