// y[r, n] = sum_k x[row(r), k] * W[n, k]   for many rows (prefill), in f32.
// One workgroup: 128 rows x 128 outputs, k in slices of 16 staged in workgroup memory, transposed, so that of its
// indices only two a lane are not literals. Each of 16 x 16 lanes keeps 8 x 8 sums: rows and outputs 4 t .. 4 t + 3
// and 64 + 4 t .. 64 + 4 t + 3. The next slice is loaded while this one is multiplied.
// The same dispatch carries LoRA's shrink (shared/lora_shrink.wgsl).
const ROWS: u32 = 128u;
const LANES: u32 = 32u;
const THREADS: u32 = 256u;
const SLICE: u32 = 16u;

// [k][row / 4] and [k][output / 4]; one column of padding spreads the stores over the banks.
var<workgroup> xs: array<array<vec4<f32>, 33>, 16>;
var<workgroup> ws: array<array<vec4<f32>, 33>, 16>;

// Eight columns of four outputs (lanes 0..63), or of four rows of x (64..127), of the next slice.
struct Load { a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32> }

// 4 rows x 4 outputs; a vec4 is a row.
struct Block { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32> }
// [rows low, high][outputs low, high]
struct Sums { ll: Block, lh: Block, hl: Block, hh: Block }

// What a lane loads of every slice: four outputs of W, or four rows of x.
fn lines(lane: u32, r0: u32, n0: u32) -> vec4<u32> {
  let four = vec4<u32>(0u, 1u, 2u, 3u) + vec4<u32>((lane % 64u) / 2u * 4u);
  if (lane < 64u) { return vec4<u32>(n0) + four; }
  let r = min(vec4<u32>(r0) + four, vec4<u32>(row_count() - 1u));
  return vec4<u32>(x_row(r.x), x_row(r.y), x_row(r.z), x_row(r.w));
}

fn load(lane: u32, lines: vec4<u32>, k: u32) -> Load {
  let k8 = k / 8u + lane % 2u;
  if (lane < 64u) {
    return Load(
      padded_weight_bits(lines.x, k8), padded_weight_bits(lines.y, k8),
      padded_weight_bits(lines.z, k8), padded_weight_bits(lines.w, k8),
    );
  }
  if (lane >= 128u) { return Load(vec4<u32>(), vec4<u32>(), vec4<u32>(), vec4<u32>()); }
  return Load(
    padded_x_bits(lines.x, k8), padded_x_bits(lines.y, k8),
    padded_x_bits(lines.z, k8), padded_x_bits(lines.w, k8),
  );
}

// Transposed in registers, for only whole vectors are stored: neighbours must not share one.
struct Columns { k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32> }

fn transpose(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> Columns {
  return Columns(
    vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y),
    vec4<f32>(a.z, b.z, c.z, d.z), vec4<f32>(a.w, b.w, c.w, d.w),
  );
}

fn stage(lane: u32, load: Load) {
  if (lane >= 128u) { return; }
  let at = (lane % 64u) / 2u;
  let k = (lane % 2u) * 8u;
  if (lane < 64u) {
    let a = widen(load.a);
    let b = widen(load.b);
    let c = widen(load.c);
    let d = widen(load.d);
    let low = transpose(a.lo, b.lo, c.lo, d.lo);
    let high = transpose(a.hi, b.hi, c.hi, d.hi);
    ws[k][at] = low.k0;
    ws[k + 1u][at] = low.k1;
    ws[k + 2u][at] = low.k2;
    ws[k + 3u][at] = low.k3;
    ws[k + 4u][at] = high.k0;
    ws[k + 5u][at] = high.k1;
    ws[k + 6u][at] = high.k2;
    ws[k + 7u][at] = high.k3;
  } else {
    let a = unpack_f16(load.a);
    let b = unpack_f16(load.b);
    let c = unpack_f16(load.c);
    let d = unpack_f16(load.d);
    let low = transpose(a.lo, b.lo, c.lo, d.lo);
    let high = transpose(a.hi, b.hi, c.hi, d.hi);
    xs[k][at] = low.k0;
    xs[k + 1u][at] = low.k1;
    xs[k + 2u][at] = low.k2;
    xs[k + 3u][at] = low.k3;
    xs[k + 4u][at] = high.k0;
    xs[k + 5u][at] = high.k1;
    xs[k + 6u][at] = high.k2;
    xs[k + 7u][at] = high.k3;
  }
}

fn outer(sum: Block, a: vec4<f32>, b: vec4<f32>) -> Block {
  return Block(
    fma(vec4<f32>(a.x), b, sum.r0),
    fma(vec4<f32>(a.y), b, sum.r1),
    fma(vec4<f32>(a.z), b, sum.r2),
    fma(vec4<f32>(a.w), b, sum.r3),
  );
}

fn column(s: Sums, k: u32, ty: u32, tx: u32) -> Sums {
  let a0 = xs[k][ty];
  let a1 = xs[k][16u + ty];
  let b0 = ws[k][tx];
  let b1 = ws[k][16u + tx];
  return Sums(outer(s.ll, a0, b0), outer(s.lh, a0, b1), outer(s.hl, a1, b0), outer(s.hh, a1, b1));
}

fn store_block(r: u32, n: u32, block: Block) {
  let rows = row_count();
  if (r < rows) { store_y(r, n, block.r0); }
  if (r + 1u < rows) { store_y(r + 1u, n, block.r1); }
  if (r + 2u < rows) { store_y(r + 2u, n, block.r2); }
  if (r + 3u < rows) { store_y(r + 3u, n, block.r3); }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row_tiles = (row_count() + 127u) / 128u;
  let base_work = ((OUT + 127u) / 128u) * row_tiles;
  // The shrink comes first: it is all latency, which the rest then hides.
  let flat = wid.y * grid.x + wid.x;
  let shrinks = shrink_workgroups();
  if (flat < shrinks) {
    lora_shrink(flat, lane);
    return;
  }
  let work = flat - shrinks;
  if (work >= base_work) { return; }
  let r0 = (work % row_tiles) * 128u;
  let n0 = (work / row_tiles) * 128u;
  let tx = lane % 16u;
  let ty = lane / 16u;

  let zero = Block(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());
  var s = Sums(zero, zero, zero, zero);
  let mine = lines(lane, r0, n0);
  var next = load(lane, mine, 0u);
  for (var k = 0u; k < IN; k = k + SLICE) {
    workgroupBarrier();
    stage(lane, next);
    workgroupBarrier();
    next = load(lane, mine, k + SLICE);
    // In the text, for a loop would carry a counter that the compiler adds to bound it.
    s = column(s, 0u, ty, tx);
    s = column(s, 1u, ty, tx);
    s = column(s, 2u, ty, tx);
    s = column(s, 3u, ty, tx);
    s = column(s, 4u, ty, tx);
    s = column(s, 5u, ty, tx);
    s = column(s, 6u, ty, tx);
    s = column(s, 7u, ty, tx);
    s = column(s, 8u, ty, tx);
    s = column(s, 9u, ty, tx);
    s = column(s, 10u, ty, tx);
    s = column(s, 11u, ty, tx);
    s = column(s, 12u, ty, tx);
    s = column(s, 13u, ty, tx);
    s = column(s, 14u, ty, tx);
    s = column(s, 15u, ty, tx);
  }
  store_block(r0 + ty * 4u, n0 + tx * 4u, s.ll);
  store_block(r0 + ty * 4u, n0 + 64u + tx * 4u, s.lh);
  store_block(r0 + 64u + ty * 4u, n0 + tx * 4u, s.hl);
  store_block(r0 + 64u + ty * 4u, n0 + 64u + tx * 4u, s.hh);
}
