/** What multiplies matrices of f16 into sums of f32, `size` x `size` x `size` (tensor cores). */
export interface MatrixUnits {
  readonly size: number;
  /** Invocations of the subgroup that holds a matrix. */
  readonly subgroup: number;
}

/** What a workgroup may have on a device. */
export interface WorkgroupLimits {
  /** Bytes of workgroup memory. */
  readonly workgroupBytes: number;
  /** Invocations. */
  readonly lanes: number;
}

/** Subgroup matrices, and what they are used with; an experiment of Dawn's, unknown to the types. */
export const MATRIX_FEATURES = [
  "shader-f16",
  "subgroups",
  "chromium-experimental-subgroup-matrix",
] as GPUFeatureName[];

interface MatrixAdapterInfo {
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
  readonly subgroupMatrixConfigs?: Iterable<
    Readonly<Record<"componentType" | "resultComponentType" | "M" | "N" | "K", string | number>>
  >;
}

/** Sizes that the kernels are written for, the preferred one first: rows of a multiple of eight halves. */
const SIZES = [16, 8];

/** The adapter's matrix units; null where it has none, or none that are square, or subgroups of several sizes. */
export function matrixUnits(adapter: GPUAdapter): MatrixUnits | null {
  const { subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs } = adapter
    .info as MatrixAdapterInfo;
  if (!MATRIX_FEATURES.every((feature) => adapter.features.has(feature))) return null;
  if (subgroupMinSize === undefined || subgroupMinSize !== subgroupMaxSize) return null;
  const squares = [...subgroupMatrixConfigs ?? []].filter((config) =>
    config.componentType === "f16" && config.resultComponentType === "f32" &&
    config.M === config.N && config.N === config.K
  );
  const size = SIZES.find((size) => squares.some(({ M }) => M === size));
  return size === undefined ? null : { size, subgroup: subgroupMinSize };
}
