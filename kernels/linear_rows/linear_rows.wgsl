// y[r, n] = sum_k x[row(r), k] * W[n, k]   for one row, or up to four or eight at a time (decode).
// One workgroup: ROWS rows x 512 / LANES outputs; groups of LANES lanes along k, a group 4 outputs. Many lanes
// along k keep enough loads in flight to fill the memory of a large GPU even where OUT is small.
// The same dispatch carries LoRA's shrink (shared/lora_shrink.wgsl).
// ROWS (1, 4 or 8), LANES (32, 64 or 128): header; with ROWS = 1 there must be one row in all.

fn four_rows(r: u32) -> vec4<u32> {
  let last = row_count() - 1u;
  return vec4<u32>(
    x_row(min(r, last)), x_row(min(r + 1u, last)), x_row(min(r + 2u, last)), x_row(min(r + 3u, last)),
  );
}

// Invocation i of a group stores row i.
fn store_tile(lane: u32, r: u32, n: u32, acc: Tile) {
  let sums = reduce_tile(lane, acc);
  let i = lane % LANES;
  if (i < min(ROWS, 4u) && r + i < row_count()) { store_y(r + i, n, tile_row(sums, i)); }
}

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

  let r = (work % row_tiles) * ROWS;
  let n = (work / row_tiles) * outs + (lane / LANES) * 4u;
  let rows = four_rows(r);
  let more = four_rows(r + 4u);
  let zero = Tile(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());
  var acc = zero;
  var acc_more = zero;
  for (var k8 = lane % LANES; k8 < IN / 8u; k8 = k8 + LANES) {
    let weights = Weights(
      widen(weight_bits(n, k8)), widen(weight_bits(n + 1u, k8)),
      widen(weight_bits(n + 2u, k8)), widen(weight_bits(n + 3u, k8)),
    );
    acc = dot_tile(acc, weights, rows, k8);
    if (ROWS > 4u) { acc_more = dot_tile(acc_more, weights, more, k8); }
  }
  store_tile(lane, r, n, acc);
  if (ROWS > 4u) { store_tile(lane, r + 4u, n, acc_more); }
}
