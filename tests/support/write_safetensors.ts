import { toHalves } from "./half.ts";

export interface TensorData {
  readonly dtype: "F16" | "BF16" | "F32";
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}

/** A file of the given header and bytes, however wrong they are. */
export function writeRaw(path: string, header: unknown, data: Uint8Array): void {
  const text = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  Deno.writeFileSync(path, file);
}

/** A safetensors file, as the format's README describes it. */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, TensorData>>,
): void {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [name, { dtype, shape, values }] of Object.entries(tensors)) {
    const bytes = encode(dtype, values);
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    parts.push(bytes);
    at += bytes.length;
  }
  const data = new Uint8Array(at);
  at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  writeRaw(path, header, data);
}

function encode(dtype: TensorData["dtype"], values: ArrayLike<number>): Uint8Array {
  if (dtype === "F32") return new Uint8Array(Float32Array.from(values).buffer);
  return new Uint8Array(toHalves(values, dtype === "F16" ? "f16" : "bf16").bits.buffer);
}

/** Runs with a directory that is gone afterwards. */
export function inDirectory<T>(run: (directory: string) => T): T {
  const directory = Deno.makeTempDirSync();
  try {
    return run(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}
