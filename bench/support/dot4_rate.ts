import type { Device } from "../../kernels/device.ts";
import { registerRate, written } from "./register_rate.ts";
import type { Timer } from "./timer.ts";

const TURNS = 512;
const STEPS = 64;
const DOT4 = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> y: array<i32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let a = id.x * 2654435761u;
  ${written(8, (i) => `var v${i} = i32(id.x) + ${i};`)}
  for (var i = 0u; i < ${TURNS}u; i = i + 1u) {
    ${
  written(STEPS, (i) => `v${i % 8} = v${i % 8} + dot4I8Packed(a, bitcast<u32>(v${(i + 1) % 8}));`)
}
  }
  let sum = v0 + v1 + v2 + v3 + v4 + v5 + v6 + v7;
  if (sum == 12345) { y[0] = sum; }
}`;

/** Operations a second on bytes, four products and their sum an instruction: what int8 without matrices could reach. */
export const dot4Rate = (device: Device, timer: Timer): Promise<number> =>
  registerRate(device, timer, DOT4, 2 * 4 * STEPS * TURNS * 256);
