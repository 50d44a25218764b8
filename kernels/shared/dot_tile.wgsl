// Four rows of A against up to four rows of x, eight columns at a time, and the sum over SHRINK_LANES lanes.
// Needs: unpack.wgsl, linear.wgsl, fma8.wgsl; ROWS (1: only the first row of x is computed) and SHRINK_LANES (32, 64 or
// 128).

// One vec4 a row of x; its components are the four weight rows.
struct Tile { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32> }
struct Weights { n0: Eight, n1: Eight, n2: Eight, n3: Eight }

fn dot_row(sum: vec4<f32>, w: Weights, x: Eight) -> vec4<f32> {
  return vec4<f32>(fma8(w.n0, x, sum.x), fma8(w.n1, x, sum.y), fma8(w.n2, x, sum.z), fma8(w.n3, x, sum.w));
}

// Rows of x beyond the first are computed where ROWS says that there may be some.
fn dot_tile(acc: Tile, w: Weights, rows: vec4<u32>, k8: u32) -> Tile {
  let r0 = dot_row(acc.r0, w, x_eight(rows.x, k8));
  if (ROWS == 1u) { return Tile(r0, acc.r1, acc.r2, acc.r3); }
  return Tile(
    r0,
    dot_row(acc.r1, w, x_eight(rows.y, k8)),
    dot_row(acc.r2, w, x_eight(rows.z, k8)),
    dot_row(acc.r3, w, x_eight(rows.w, k8)),
  );
}

// Small on purpose: workgroup memory is what limits how many workgroups a processor holds.
var<workgroup> tile_scratch: array<vec4<f32>, 128>;

fn sum_four(at: u32, stride: u32) -> vec4<f32> {
  return (tile_scratch[at] + tile_scratch[at + stride]) +
    (tile_scratch[at + 2u * stride] + tile_scratch[at + 3u * stride]);
}

// The sum over each group of SHRINK_LANES of the first 128 invocations, for the invocations of the group; all of the
// workgroup must call. The other invocations get something else.
fn reduce_row(lane: u32, value: vec4<f32>) -> vec4<f32> {
  workgroupBarrier();
  if (lane < 128u) { tile_scratch[lane] = value; }
  workgroupBarrier();
  // Two rounds, each to a quarter of the partial sums of the one before.
  let q = SHRINK_LANES / 4u;
  if (lane < 32u) {
    let at = (lane / q) * SHRINK_LANES + lane % q;
    tile_scratch[at] = sum_four(at, q);
  }
  workgroupBarrier();
  if (lane < 8u) {
    let at = (lane / (q / 4u)) * SHRINK_LANES + lane % (q / 4u);
    tile_scratch[at] = sum_four(at, q / 4u);
  }
  workgroupBarrier();
  let at = (lane % 128u) / SHRINK_LANES * SHRINK_LANES;
  var sum = tile_scratch[at] + tile_scratch[at + 1u];
  if (SHRINK_LANES > 32u) { sum = sum + tile_scratch[at + 2u] + tile_scratch[at + 3u]; }
  if (SHRINK_LANES > 64u) { sum = sum + sum_four(at + 4u, 1u); }
  return sum;
}

fn reduce_tile(lane: u32, acc: Tile) -> Tile {
  let r0 = reduce_row(lane, acc.r0);
  if (ROWS == 1u) { return Tile(r0, acc.r1, acc.r2, acc.r3); }
  return Tile(r0, reduce_row(lane, acc.r1), reduce_row(lane, acc.r2), reduce_row(lane, acc.r3));
}

fn tile_row(tile: Tile, i: u32) -> vec4<f32> {
  switch i {
    case 0u: { return tile.r0; }
    case 1u: { return tile.r1; }
    case 2u: { return tile.r2; }
    default: { return tile.r3; }
  }
}
