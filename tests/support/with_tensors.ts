import { SafetensorsFile, type Tensor } from "../../models/safetensors.ts";
import { inDirectory, type TensorData, writeSafetensors } from "./write_safetensors.ts";

/** Runs with the tensors of a file that holds these. */
export function withTensors<T>(
  data: Readonly<Record<string, TensorData>>,
  run: (...tensors: Tensor[]) => T,
): T {
  return inDirectory((directory) => {
    const path = `${directory}/x.safetensors`;
    writeSafetensors(path, data);
    using file = SafetensorsFile.open(path);
    return run(...Object.keys(data).flatMap((name) => file.find(name) ?? []));
  });
}

/** A tensor of one dimension. */
export const flat = (dtype: TensorData["dtype"], values: ArrayLike<number>): TensorData => ({
  dtype,
  shape: [values.length],
  values,
});
