// y[r, n] = sum_k x[row(r), k] * W[n, k]   for many rows (prefill), in f32.
// One workgroup: 128 rows x 128 outputs, k in slices of 16 staged in workgroup memory, transposed, so that of its
// indices only two a lane are not literals. Each of 16 x 16 lanes keeps 8 x 8 sums: rows and outputs 4 t .. 4 t + 3
// and 64 + 4 t .. 64 + 4 t + 3. The next slice is loaded while this one is multiplied.
// The same dispatch carries LoRA's shrink (shared/lora_shrink.wgsl).
const ROWS: u32 = 128u;
const LANES: u32 = 32u;
const SLICE: u32 = 16u;

// [k][row / 4] and [k][output / 4]; one column of padding spreads the stores over the banks.
var<workgroup> xs: array<array<vec4<f32>, 33>, 16>;
var<workgroup> ws: array<array<vec4<f32>, 33>, 16>;

// Four rows of 16 bytes of the next slice: lanes 0..63 load 4 outputs x 8 weights, 64..191 4 rows x 4 of x.
struct Load { a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32> }

// 4 rows x 4 outputs; a vec4 is a row.
struct Block { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32> }
// [rows low, high][outputs low, high]
struct Sums { ll: Block, lh: Block, hl: Block, hh: Block }

// What a lane loads of every slice: four outputs of W, or four rows of x.
fn lines(lane: u32, r0: u32, n0: u32) -> vec4<u32> {
  if (lane < 64u) { return vec4<u32>(n0 + (lane / 2u) * 4u) + vec4<u32>(0u, 1u, 2u, 3u); }
  let last = row_count() - 1u;
  let r = r0 + ((lane - 64u) / 4u) * 4u;
  return vec4<u32>(
    x_row(min(r, last)), x_row(min(r + 1u, last)), x_row(min(r + 2u, last)), x_row(min(r + 3u, last)),
  );
}

fn load(lane: u32, lines: vec4<u32>, k: u32) -> Load {
  if (lane < 64u) {
    let k8 = k / 8u + lane % 2u;
    return Load(
      padded_weight_bits(lines.x, k8), padded_weight_bits(lines.y, k8),
      padded_weight_bits(lines.z, k8), padded_weight_bits(lines.w, k8),
    );
  }
  let k4 = k / 4u + lane % 4u;
  if (lane >= 192u || k4 >= IN / 4u) { return Load(vec4<u32>(), vec4<u32>(), vec4<u32>(), vec4<u32>()); }
  let at = lines * (IN / 4u) + k4;
  return Load(
    bitcast<vec4<u32>>(x[at.x]), bitcast<vec4<u32>>(x[at.y]),
    bitcast<vec4<u32>>(x[at.z]), bitcast<vec4<u32>>(x[at.w]),
  );
}

// Transposes in registers: whole vectors are stored, for neighbours must not share one.
fn stage(lane: u32, load: Load) {
  if (lane < 64u) {
    let a = widen(load.a);
    let b = widen(load.b);
    let c = widen(load.c);
    let d = widen(load.d);
    let n4 = lane / 2u;
    let k = (lane % 2u) * 8u;
    ws[k][n4] = vec4<f32>(a.lo.x, b.lo.x, c.lo.x, d.lo.x);
    ws[k + 1u][n4] = vec4<f32>(a.lo.y, b.lo.y, c.lo.y, d.lo.y);
    ws[k + 2u][n4] = vec4<f32>(a.lo.z, b.lo.z, c.lo.z, d.lo.z);
    ws[k + 3u][n4] = vec4<f32>(a.lo.w, b.lo.w, c.lo.w, d.lo.w);
    ws[k + 4u][n4] = vec4<f32>(a.hi.x, b.hi.x, c.hi.x, d.hi.x);
    ws[k + 5u][n4] = vec4<f32>(a.hi.y, b.hi.y, c.hi.y, d.hi.y);
    ws[k + 6u][n4] = vec4<f32>(a.hi.z, b.hi.z, c.hi.z, d.hi.z);
    ws[k + 7u][n4] = vec4<f32>(a.hi.w, b.hi.w, c.hi.w, d.hi.w);
  } else if (lane < 192u) {
    let m4 = (lane - 64u) / 4u;
    let k = (lane % 4u) * 4u;
    xs[k][m4] = bitcast<vec4<f32>>(vec4<u32>(load.a.x, load.b.x, load.c.x, load.d.x));
    xs[k + 1u][m4] = bitcast<vec4<f32>>(vec4<u32>(load.a.y, load.b.y, load.c.y, load.d.y));
    xs[k + 2u][m4] = bitcast<vec4<f32>>(vec4<u32>(load.a.z, load.b.z, load.c.z, load.d.z));
    xs[k + 3u][m4] = bitcast<vec4<f32>>(vec4<u32>(load.a.w, load.b.w, load.c.w, load.d.w));
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

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row_tiles = (row_count() + 127u) / 128u;
  let base_work = ((OUT + 127u) / 128u) * row_tiles;
  let work = wid.y * grid.x + wid.x;
  if (work >= base_work) {
    if (work < base_work + shrink_workgroups()) { lora_shrink(work - base_work, lane); }
    return;
  }
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
