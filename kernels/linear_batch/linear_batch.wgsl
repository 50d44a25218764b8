// y[r, n] = sum_k x[row(r), k] * W[n, k]   for a batch of rows (decode): weights are read once for ROWS rows.
// One workgroup: ROWS rows (8 or 16) x 16 outputs; four groups of 32 lanes along k, a group 4 outputs. x is staged
// in workgroup memory, 256 columns at a time, so that lanes read it side by side; the next slice is
// loaded while this one is multiplied. The same dispatch carries LoRA's shrink (shared/lora_shrink.wgsl).
// ROWS: header.
const LANES: u32 = 32u;
const SLICE: u32 = 256u;

// [row][low halves of 32 eights, then high halves]
var<workgroup> xs: array<array<vec4<f32>, 64>, ROWS>;

// A lane's vectors of the next slice: of four outputs, or of four rows of x.
struct FourOutputs { a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32> }
struct FourRows { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }

fn load_weights(n: u32, k8: u32) -> FourOutputs {
  return FourOutputs(
    padded_weight_bits(n, k8), padded_weight_bits(n + 1u, k8),
    padded_weight_bits(n + 2u, k8), padded_weight_bits(n + 3u, k8),
  );
}

// 128 lanes take two rows of a slice at a time, so that a lane meets every second row.
fn every_second(r: u32, last: u32) -> vec4<u32> {
  return vec4<u32>(
    x_row(min(r, last)), x_row(min(r + 2u, last)), x_row(min(r + 4u, last)), x_row(min(r + 6u, last)),
  );
}

fn load_rows(rows: vec4<u32>, k4: u32) -> FourRows {
  if (k4 >= IN / 4u) { return FourRows(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>()); }
  let at = rows * (IN / 4u) + k4;
  return FourRows(x[at.x], x[at.y], x[at.z], x[at.w]);
}

fn stage(m: u32, at: u32, rows: FourRows) {
  xs[m][at] = rows.a;
  xs[m + 2u][at] = rows.b;
  xs[m + 4u][at] = rows.c;
  xs[m + 6u][at] = rows.d;
}

fn staged(m: u32, at: u32) -> Eight { return Eight(xs[m][at], xs[m][32u + at]); }

fn multiply(acc: Tile, w: Weights, m: u32, at: u32) -> Tile {
  return Tile(
    dot_row(acc.r0, w, staged(m, at)),
    dot_row(acc.r1, w, staged(m + 1u, at)),
    dot_row(acc.r2, w, staged(m + 2u, at)),
    dot_row(acc.r3, w, staged(m + 3u, at)),
  );
}

fn finish(lane: u32, acc: Tile, r0: u32, n0: u32) {
  let sum = reduce_tile(lane, acc);
  let r = r0 + lane % 4u;
  if (lane < 16u && r < row_count()) { store_y(r, n0 + (lane / 4u) * 4u, sum); }
}

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row_tiles = (row_count() + ROWS - 1u) / ROWS;
  let base_work = ((OUT + 15u) / 16u) * row_tiles;
  let work = wid.y * grid.x + wid.x;
  if (work >= base_work) {
    if (work < base_work + shrink_workgroups()) { lora_shrink(work - base_work, lane); }
    return;
  }
  let r0 = (work % row_tiles) * ROWS;
  let n0 = (work / row_tiles) * 16u;
  let n = n0 + (lane / 32u) * 4u;

  let column = lane % 32u;
  let row = lane / 64u;
  let piece = lane % 64u;
  let at = (piece % 2u) * 32u + piece / 2u;
  let last = row_count() - 1u;
  let rows = every_second(r0 + row, last);
  let more = every_second(r0 + 8u + row, last);
  var w_next = load_weights(n, column);
  var x_next = load_rows(rows, piece);
  var x_more = x_next;
  if (ROWS > 8u) { x_more = load_rows(more, piece); }

  let zero = Tile(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());
  var acc0 = zero;
  var acc4 = zero;
  var acc8 = zero;
  var acc12 = zero;
  for (var k = 0u; k < IN; k = k + SLICE) {
    workgroupBarrier();
    stage(row, at, x_next);
    if (ROWS > 8u) { stage(8u + row, at, x_more); }
    workgroupBarrier();
    let weights = Weights(widen(w_next.a), widen(w_next.b), widen(w_next.c), widen(w_next.d));
    let next = k + SLICE;
    w_next = load_weights(n, next / 8u + column);
    x_next = load_rows(rows, next / 4u + piece);
    if (ROWS > 8u) { x_more = load_rows(more, next / 4u + piece); }
    acc0 = multiply(acc0, weights, 0u, column);
    acc4 = multiply(acc4, weights, 4u, column);
    if (ROWS > 8u) {
      acc8 = multiply(acc8, weights, 8u, column);
      acc12 = multiply(acc12, weights, 12u, column);
    }
  }
  finish(lane, acc0, r0, n0);
  finish(lane, acc4, r0 + 4u, n0);
  if (ROWS > 8u) {
    finish(lane, acc8, r0 + 8u, n0);
    finish(lane, acc12, r0 + 12u, n0);
  }
}
