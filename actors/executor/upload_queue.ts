import type { AdapterImage, PackedPages } from "../../models/adapter_image.ts";
import type { Command } from "./protocol.ts";

export type Upload = Extract<Command, { kind: "upload" }>;

/** Consecutive pages of one image, counted over all its copies. */
export interface Slice {
  readonly upload: Upload;
  readonly part: "head" | "layers";
  readonly packed: PackedPages;
  readonly first: number;
  readonly pages: number;
  /** With it, the upload is complete. */
  readonly last: boolean;
}

/** Uploads in the order in which they came, cut into slices. */
export class UploadQueue {
  readonly #pageBytes: number;
  readonly #waiting: Upload[] = [];
  /** The slices that the first upload is still to be cut into. */
  #parts: { readonly part: Slice["part"]; readonly packed: PackedPages }[] = [];
  #first = 0;

  constructor(pageBytes: number) {
    this.#pageBytes = pageBytes;
  }

  get empty(): boolean {
    return this.#waiting.length === 0;
  }

  /** The one whose slices come next; undefined where nothing waits. */
  get first(): Upload | undefined {
    return this.#waiting[0];
  }

  /** @throws {RangeError} unless the upload names as many pages as its image has. */
  push(upload: Upload): void {
    const { image: { layers, head }, layerPages, headPages } = upload;
    const wanted = [layers?.pages ?? 0, head?.pages ?? 0];
    if (layerPages.length !== wanted[0] || headPages.length !== wanted[1]) {
      throw new RangeError(
        `Cannot upload adapter: its image has ${wanted.join(" and ")} pages, ` +
          `received ${layerPages.length} and ${headPages.length}`,
      );
    }
    const parts = partsOf(upload.image);
    if (this.#waiting.push(upload) === 1) this.#parts = parts;
  }

  /** The next slice of at most `bytes`, but of one page at least; null where nothing waits. */
  next(bytes: number): Slice | null {
    const [upload] = this.#waiting;
    const [current] = this.#parts;
    if (!upload || !current) return null;
    const { part, packed } = current;
    const left = packed.pages * packed.copies - this.#first;
    const pages = Math.min(left, Math.max(1, Math.floor(bytes / this.#pageBytes)));
    const slice = { upload, part, packed, first: this.#first, pages };
    this.#first += pages;
    if (pages < left) return { ...slice, last: false };
    this.#first = 0;
    this.#parts.shift();
    if (this.#parts.length > 0) return { ...slice, last: false };
    this.#waiting.shift();
    const [following] = this.#waiting;
    this.#parts = following ? partsOf(following.image) : [];
    return { ...slice, last: true };
  }
}

/** @throws {RangeError} for an image without any page, which could never end. */
function partsOf({ head, layers }: AdapterImage) {
  const parts = [
    ...head ? [{ part: "head" as const, packed: head }] : [],
    ...layers ? [{ part: "layers" as const, packed: layers }] : [],
  ];
  if (parts.length === 0) throw new RangeError("Cannot upload adapter: its image is empty");
  return parts;
}
