import type { Device } from "../../kernels/device.ts";
import { registerRate, written } from "./register_rate.ts";
import type { Timer } from "./timer.ts";

/** Subgroups of a workgroup, turns of the loop, and sums that a subgroup adds products to in turn. */
const SUBGROUPS = 8;
const TURNS = 512;
const SUMS = 8;

const text = (size: number, subgroup: number) => /* wgsl */ `
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
alias Sum = subgroup_matrix_result<f32, ${size}, ${size}>;
var<workgroup> halves: array<f16, ${size * size}>;
var<workgroup> sums: array<f32, ${size * size}>;
@compute @workgroup_size(${SUBGROUPS * subgroup})
fn main(@builtin(local_invocation_index) lane: u32) {
  for (var i = lane; i < ${size * size}u; i += ${
  SUBGROUPS * subgroup
}u) { halves[i] = f16(i % 7u) * 0.01h; }
  workgroupBarrier();
  let left = subgroupMatrixLoad<subgroup_matrix_left<f16, ${size}, ${size}>, row_major>(&halves, 0, ${size});
  let right = subgroupMatrixLoad<subgroup_matrix_right<f16, ${size}, ${size}>, col_major>(&halves, 0, ${size});
  ${written(SUMS, (i) => `var sum${i}: Sum;`)}
  for (var turn = 0u; turn < ${TURNS}u; turn++) {
    ${written(SUMS, (i) => `sum${i} = subgroupMatrixMultiplyAccumulate(left, right, sum${i});`)}
  }
  ${
  written(SUMS, (i) => `
  subgroupMatrixStore<row_major>(&sums, 0, sum${i}, ${size});
  workgroupBarrier();
  if (sums[lane % ${size * size}u] == 12345.0) { y[lane % 1024u] = 1.0; }
  workgroupBarrier();`)
}
}`;

/** Operations a second of the matrix units on f16 with sums in f32; null where there are none. */
export async function matrixRate(device: Device, timer: Timer): Promise<number | null> {
  if (!device.matrices) return null;
  const { size, subgroup } = device.matrices;
  return await registerRate(
    device,
    timer,
    text(size, subgroup),
    2 * size ** 3 * SUMS * TURNS * SUBGROUPS,
  );
}
