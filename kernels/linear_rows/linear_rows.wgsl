// y[r, n] = sum_k x[row(r), k] * W[n, k]   for few rows (decode), W [OUT][IN] in 16 bits, x [T][IN] f32.
// One workgroup: 16 outputs (4 groups of 32 lanes, a group 4 outputs, lanes along k) x 4 rows, so that
// weights are read once for four rows. The same dispatch carries LoRA's shrink (shared/lora_shrink.wgsl):
// workgroups from `ceil(OUT / 16) * ceil(rows / 4)` on.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> pool0: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> pool1: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // [rows][OUT]
@group(0) @binding(6) var<storage, read_write> u: array<f32>; // [rows][K][MODULES][256]
override IN: u32;
override OUT: u32;
override BF16: bool;
override MODULES: u32;      // adapted modules fused in W: 3 for q,k,v, 2 for gate,up, else 1
override FIRST_MODULE: u32;
override HEAD_POOL: bool;   // the lm_head: rows of logits, images of the head pool

fn x_row(r: u32) -> u32 {
  if (HEAD_POOL) { return logit_token(r); }
  return r;
}

fn weight(n: u32, k8: u32) -> Eight {
  let v = w[min(n, OUT - 1u) * (IN / 8u) + k8];
  if (BF16) { return unpack_bf16(v); }
  return unpack_f16(v);
}

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  var rows_total = step_tokens();
  var items = shrink_items();
  if (HEAD_POOL) { rows_total = step_logit_rows(); items = head_shrink_items(); }
  let row_tiles = (rows_total + 3u) / 4u;
  let base_work = ((OUT + 15u) / 16u) * row_tiles;
  let work = wid.y * grid.x + wid.x;
  if (work >= base_work) {
    if (work < base_work + items * MODULES) { lora_shrink(work - base_work, lane); }
    return;
  }

  let r0 = (work % row_tiles) * 4u;
  let n0 = (work / row_tiles) * 16u;
  let last = rows_total - 1u;
  let rows = vec4<u32>(
    x_row(r0), x_row(min(r0 + 1u, last)), x_row(min(r0 + 2u, last)), x_row(min(r0 + 3u, last)),
  );
  let n = n0 + (lane / 32u) * 4u;
  var acc = Tile(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());
  for (var k8 = lane % 32u; k8 < IN / 8u; k8 = k8 + 32u) {
    acc = dot_tile(acc, weight(n, k8), weight(n + 1u, k8), weight(n + 2u, k8), weight(n + 3u, k8), rows, k8);
  }
  let sum = reduce_tile(lane, acc);
  let r = r0 + lane % 4u;
  let out = n0 + lane / 4u;
  if (lane < 64u && r < rows_total && out < OUT) { y[r * OUT + out] = sum; }
}
