import type { Device } from "../../kernels/device.ts";
import { registerRate, written } from "./register_rate.ts";
import type { Timer } from "./timer.ts";

/** Turns of the loop, and multiply-adds of four lanes each in a turn. */
const TURNS = 512;
const STEPS = 64;
const FMA = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let a = vec4<f32>(0.999 + f32(id.x % 7u) * 1e-6);
  let b = vec4<f32>(0.5);
  ${written(8, (i) => `var v${i} = a * ${i + 1}.0;`)}
  for (var i = 0u; i < ${TURNS}u; i = i + 1u) {
    ${written(STEPS, (i) => `v${i % 8} = fma(v${i % 8}, a, b);`)}
  }
  let sum = v0 + v1 + v2 + v3 + v4 + v5 + v6 + v7;
  if (sum.x == 12345.0) { y[0] = sum; }
}`;

/** f32 operations a second of multiplying and adding: the ceiling without matrices. */
export const fmaRate = (device: Device, timer: Timer): Promise<number> =>
  registerRate(device, timer, FMA, 2 * 4 * STEPS * TURNS * 256);
