// y[r, n] = sum_k x[row(r), k] * W[n, k]   for one row, or up to four (decode).
// One workgroup: ROWS rows x 512 / LANES outputs; groups of LANES lanes along k, a group 4 outputs. Many lanes
// along k keep enough loads in flight to fill the memory of a large GPU even where OUT is small.
// The same dispatch carries LoRA's shrink (shared/lora_shrink.wgsl).
// ROWS, LANES: header; with ROWS = 1 there must be one row in all.

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let outs = 512u / LANES;
  let row_tiles = (row_count() + ROWS - 1u) / ROWS;
  let base_work = ((OUT + outs - 1u) / outs) * row_tiles;
  let work = wid.y * grid.x + wid.x;
  if (work >= base_work) {
    if (work < base_work + shrink_workgroups()) { lora_shrink(work - base_work, lane); }
    return;
  }

  let r0 = (work % row_tiles) * ROWS;
  let n0 = (work / row_tiles) * outs;
  let last = row_count() - 1u;
  let rows = vec4<u32>(
    x_row(r0), x_row(min(r0 + 1u, last)), x_row(min(r0 + 2u, last)), x_row(min(r0 + 3u, last)),
  );
  let n = n0 + (lane / LANES) * 4u;
  var acc = Tile(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());
  for (var k8 = lane % LANES; k8 < IN / 8u; k8 = k8 + LANES) {
    let weights = Weights(
      widen(weight_bits(n, k8)), widen(weight_bits(n + 1u, k8)),
      widen(weight_bits(n + 2u, k8)), widen(weight_bits(n + 3u, k8)),
    );
    acc = dot_tile(acc, weights, rows, k8);
  }
  let sum = reduce_tile(lane, acc);
  let r = lane % 4u;
  if (lane < outs && r < ROWS && r0 + r <= last) { store_y(r0 + r, n0 + (lane / 4u) * 4u, sum); }
}
