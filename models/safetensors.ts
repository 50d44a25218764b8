import { z } from "zod";

const DTYPE_BYTES = { F16: 2, BF16: 2, F32: 4 } as const;
export type TensorDtype = keyof typeof DTYPE_BYTES;

export interface TensorInfo {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Byte offset in the file, and length. */
  readonly offset: number;
  readonly bytes: number;
}

/** A tensor of a file, read by ranges. */
export interface Tensor extends TensorInfo {
  readonly name: string;
  readonly file: string;
  /** Fills `target` from byte `offset` of the tensor. */
  read(offset: number, target: Uint8Array): void;
}

/** Bytes. */
export const LARGEST_HEADER = 100 * 2 ** 20;
const Header = z.record(
  z.string(),
  z.object({
    dtype: z.string(),
    shape: z.array(z.number().int().nonnegative()),
    data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
  }),
);

/** Bytes by ranges, of an open file or in memory. */
interface Source {
  readonly size: number;
  /** Fills `target` from byte `offset`. */
  read(offset: number, target: Uint8Array): void;
  close(): void;
}

/** A .safetensors file, open or in memory: its tensors by name, read by ranges into memory the caller reuses. */
export class SafetensorsFile implements Disposable {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #source: Source;

  private constructor(path: string, source: Source) {
    this.path = path;
    this.#source = source;
    this.tensors = readHeader(path, source);
  }

  /**
   * The file at `path`, whose content was read already, or of `size` bytes those that hold its header.
   * @throws {TypeError} as `open` does.
   */
  static of(path: string, content: Uint8Array, size = content.length): SafetensorsFile {
    return new SafetensorsFile(path, {
      size,
      read: (offset, target) => target.set(content.subarray(offset, offset + target.length)),
      close: () => {},
    });
  }

  /** @throws {TypeError} naming the file and the tensor whose entry does not hold. */
  static open(path: string): SafetensorsFile {
    let file: Deno.FsFile;
    try {
      file = Deno.openSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new TypeError(`Cannot read safetensors: no such file, received ${path}`);
    }
    try {
      return new SafetensorsFile(path, {
        size: file.statSync().size,
        read: (offset, target) => {
          file.seekSync(offset, Deno.SeekMode.Start);
          readFully(file, target, path);
        },
        close: () => file.close(),
      });
    } catch (error) {
      file.close();
      throw error;
    }
  }

  find(name: string): Tensor | null {
    const info = this.tensors.get(name);
    if (!info) return null;
    const read = (offset: number, target: Uint8Array) => this.readInto(name, offset, target);
    return { ...info, name, file: this.path, read };
  }

  /** Fills `target` from byte `offset` of the tensor. */
  readInto(name: string, offset: number, target: Uint8Array): void {
    const tensor = this.tensors.get(name);
    if (!tensor || offset + target.length > tensor.bytes) {
      throw new RangeError(
        `Cannot read tensor ${name} of ${this.path}: it has ${tensor?.bytes ?? 0} bytes, ` +
          `received range ${offset}..${offset + target.length}`,
      );
    }
    this.#source.read(tensor.offset + offset, target);
  }

  [Symbol.dispose](): void {
    this.#source.close();
  }
}

function readFully(file: Deno.FsFile, target: Uint8Array, path: string): void {
  for (let at = 0; at < target.length;) {
    const count = file.readSync(target.subarray(at));
    if (count === null) {
      throw new TypeError(
        `Cannot read safetensors ${path}: the file ends early, received ${at} bytes`,
      );
    }
    at += count;
  }
}

function readHeader(path: string, source: Source): Map<string, TensorInfo> {
  const { size } = source;
  const refuse = (why: string): never => {
    throw new TypeError(`Cannot read safetensors ${path}: ${why}`);
  };
  if (size < 8) refuse(`the file is too short for a header, received ${size} bytes`);
  const prefix = new Uint8Array(8);
  source.read(0, prefix);
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (length > LARGEST_HEADER || 8 + length > size) {
    refuse(`the header must lie within the file's ${size} bytes, received a length of ${length}`);
  }
  const bytes = new Uint8Array(length);
  source.read(8, bytes);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    refuse(`the header is not JSON, received ${(error as Error).message}`);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return refuse(`the header must be an object, received ${JSON.stringify(json)}`);
  }
  const { __metadata__: _metadata, ...entries } = json as Record<string, unknown>;
  const parsed = Header.safeParse(entries);
  if (!parsed.success) return refuse(`${z.prettifyError(parsed.error)}`);
  const tensors = new Map<string, TensorInfo>();
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(parsed.data)) {
    const width = DTYPE_BYTES[dtype as TensorDtype];
    const expected = shape.reduce((count, n) => count * n, width ?? 0);
    if (end < start || 8 + length + end > size) {
      refuse(
        `${name}: the file is truncated, its bytes must lie within the file's ${size}, received ${start}..${end}`,
      );
    }
    if (width !== undefined && end - start !== expected) {
      refuse(
        `${name}: shape [${shape}] of ${dtype} takes ${expected} bytes, received ${end - start}`,
      );
    }
    tensors.set(name, { dtype, shape, offset: 8 + length + start, bytes: end - start });
  }
  // As the format demands: one tensor after another, without overlap, holes or a rest.
  let end = 8 + length;
  for (const [name, { offset, bytes }] of [...tensors].sort(([, a], [, b]) => inFile(a, b))) {
    if (offset !== end) {
      refuse(
        `${name}: its bytes must begin where those before it end, at ${end - 8 - length}, ` +
          `received ${offset - 8 - length}`,
      );
    }
    end += bytes;
  }
  if (end !== size) refuse(`the last tensor must end with the file, received ${size - end} more`);
  return tensors;
}

const inFile = (a: TensorInfo, b: TensorInfo): number => a.offset - b.offset || a.bytes - b.bytes;
