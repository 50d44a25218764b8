// Four weight rows against up to four rows of x, eight columns at a time, and the sum over LANES lanes.
// Needs: unpack.wgsl, linear.wgsl; ROWS (1: only the first row of x is computed) and LANES (32, 64 or 128).

// One vec4 a row of x; its components are the four weight rows.
struct Tile { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32> }
struct Weights { n0: Eight, n1: Eight, n2: Eight, n3: Eight }

fn fma8(a: Eight, b: Eight, sum: f32) -> f32 {
  let low = fma(a.lo.w, b.lo.w, fma(a.lo.z, b.lo.z, fma(a.lo.y, b.lo.y, fma(a.lo.x, b.lo.x, sum))));
  return fma(a.hi.w, b.hi.w, fma(a.hi.z, b.hi.z, fma(a.hi.y, b.hi.y, fma(a.hi.x, b.hi.x, low))));
}

fn dot_row(sum: vec4<f32>, w: Weights, x: Eight) -> vec4<f32> {
  return vec4<f32>(fma8(w.n0, x, sum.x), fma8(w.n1, x, sum.y), fma8(w.n2, x, sum.z), fma8(w.n3, x, sum.w));
}

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

var<workgroup> tile_scratch: array<vec4<f32>, 512>; // [4 rows of x][128 lanes]

fn sum_four(at: u32, stride: u32) -> vec4<f32> {
  return (tile_scratch[at] + tile_scratch[at + stride]) +
    (tile_scratch[at + 2u * stride] + tile_scratch[at + 3u * stride]);
}

// Sums over each group of LANES of the first 128 invocations; all of the workgroup must call. Invocation
// i < 512 / LANES gets the four sums of group i / 4, row of x i % 4; the others get something else.
fn reduce_tile(lane: u32, acc: Tile) -> vec4<f32> {
  let rows = min(ROWS, 4u);
  workgroupBarrier();
  if (lane < 128u) {
    tile_scratch[lane] = acc.r0;
    if (ROWS > 1u) {
      tile_scratch[128u + lane] = acc.r1;
      tile_scratch[256u + lane] = acc.r2;
      tile_scratch[384u + lane] = acc.r3;
    }
  }
  workgroupBarrier();
  // Two rounds, each a quarter of the partial sums of the one before.
  let q = LANES / 4u;
  if (lane < 32u * rows) {
    let at = (lane / q) * LANES + lane % q;
    tile_scratch[at] = sum_four(at, q);
  }
  workgroupBarrier();
  if (lane < 8u * rows) {
    let at = (lane / (q / 4u)) * LANES + lane % (q / 4u);
    tile_scratch[at] = sum_four(at, q / 4u);
  }
  workgroupBarrier();
  var sum = vec4<f32>();
  if (lane < 512u / LANES) {
    let at = (lane % 4u) * 128u + (lane / 4u) * LANES;
    for (var i = 0u; i < q / 4u; i = i + 1u) { sum = sum + tile_scratch[at + i]; }
  }
  return sum;
}
