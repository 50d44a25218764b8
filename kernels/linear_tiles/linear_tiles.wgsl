// y[r, n] = sum_k x[row(r), k] * W[n, k]   for many rows (prefill), W [OUT][IN] in 16 bits, x [T][IN] f32.
// One workgroup: a tile of 32 rows x 64 outputs, k in slices of 16 staged in workgroup memory; each of the 128
// invocations keeps 4 x 4 sums. The same dispatch carries LoRA's shrink (shared/lora_shrink.wgsl):
// workgroups from `ceil(OUT / 64) * ceil(rows / 32)` on.
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
override MODULES: u32;
override FIRST_MODULE: u32;
override HEAD_POOL: bool;

// [k][row] and [k][output], four neighbours a vec4; one column of padding keeps stores off one bank.
var<workgroup> xs: array<vec4<f32>, 144>; // 16 x (8 + 1)
var<workgroup> ws: array<vec4<f32>, 272>; // 16 x (16 + 1)

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
  let row_tiles = (rows_total + 31u) / 32u;
  let base_work = ((OUT + 63u) / 64u) * row_tiles;
  let work = wid.y * grid.x + wid.x;
  if (work >= base_work) {
    if (work < base_work + items * MODULES) { lora_shrink(work - base_work, lane); }
    return;
  }
  let r0 = (work % row_tiles) * 32u;
  let n0 = (work / row_tiles) * 64u;

  // Loading: 32 invocations take 4 outputs x 8 k of W each, the next 32 take 4 rows x 4 k of x,
  // and transpose in registers: whole vectors are stored, for neighbours must not share one.
  let tx = lane % 16u; // four outputs
  let ty = lane / 16u; // four rows
  var acc0 = vec4<f32>();
  var acc1 = vec4<f32>();
  var acc2 = vec4<f32>();
  var acc3 = vec4<f32>();
  for (var k = 0u; k < IN; k = k + 16u) {
    workgroupBarrier();
    if (lane < 32u) { load_w(lane, n0, k); } else if (lane < 64u) { load_x(lane - 32u, r0, rows_total, k); }
    workgroupBarrier();
    for (var i = 0u; i < 16u; i = i + 1u) {
      let a = xs[i * 9u + ty];
      let b = ws[i * 17u + tx];
      acc0 = fma(vec4<f32>(a.x), b, acc0);
      acc1 = fma(vec4<f32>(a.y), b, acc1);
      acc2 = fma(vec4<f32>(a.z), b, acc2);
      acc3 = fma(vec4<f32>(a.w), b, acc3);
    }
  }
  store(r0 + ty * 4u, n0 + tx * 4u, rows_total, acc0);
  store(r0 + ty * 4u + 1u, n0 + tx * 4u, rows_total, acc1);
  store(r0 + ty * 4u + 2u, n0 + tx * 4u, rows_total, acc2);
  store(r0 + ty * 4u + 3u, n0 + tx * 4u, rows_total, acc3);
}

fn load_w(lane: u32, n0: u32, k: u32) {
  let k8 = lane % 2u;
  let n4 = lane / 2u;
  let n = n0 + n4 * 4u;
  var e0 = Eight(vec4<f32>(), vec4<f32>());
  var e1 = e0;
  var e2 = e0;
  var e3 = e0;
  if (k + k8 * 8u < IN) {
    let at = k / 8u + k8;
    e0 = weight(n, at);
    e1 = weight(n + 1u, at);
    e2 = weight(n + 2u, at);
    e3 = weight(n + 3u, at);
  }
  let to = k8 * 8u * 17u + n4;
  ws[to] = vec4<f32>(e0.lo.x, e1.lo.x, e2.lo.x, e3.lo.x);
  ws[to + 17u] = vec4<f32>(e0.lo.y, e1.lo.y, e2.lo.y, e3.lo.y);
  ws[to + 34u] = vec4<f32>(e0.lo.z, e1.lo.z, e2.lo.z, e3.lo.z);
  ws[to + 51u] = vec4<f32>(e0.lo.w, e1.lo.w, e2.lo.w, e3.lo.w);
  ws[to + 68u] = vec4<f32>(e0.hi.x, e1.hi.x, e2.hi.x, e3.hi.x);
  ws[to + 85u] = vec4<f32>(e0.hi.y, e1.hi.y, e2.hi.y, e3.hi.y);
  ws[to + 102u] = vec4<f32>(e0.hi.z, e1.hi.z, e2.hi.z, e3.hi.z);
  ws[to + 119u] = vec4<f32>(e0.hi.w, e1.hi.w, e2.hi.w, e3.hi.w);
}

fn load_x(lane: u32, r0: u32, rows_total: u32, k: u32) {
  let k4 = lane % 4u;
  let row4 = lane / 4u;
  let row = r0 + row4 * 4u;
  let last = rows_total - 1u;
  var a = vec4<f32>();
  var b = a;
  var c = a;
  var d = a;
  if (k + k4 * 4u < IN) {
    let at = k / 4u + k4;
    a = x[x_row(min(row, last)) * (IN / 4u) + at];
    b = x[x_row(min(row + 1u, last)) * (IN / 4u) + at];
    c = x[x_row(min(row + 2u, last)) * (IN / 4u) + at];
    d = x[x_row(min(row + 3u, last)) * (IN / 4u) + at];
  }
  let to = k4 * 4u * 9u + row4;
  xs[to] = vec4<f32>(a.x, b.x, c.x, d.x);
  xs[to + 9u] = vec4<f32>(a.y, b.y, c.y, d.y);
  xs[to + 18u] = vec4<f32>(a.z, b.z, c.z, d.z);
  xs[to + 27u] = vec4<f32>(a.w, b.w, c.w, d.w);
}

fn store(r: u32, n: u32, rows_total: u32, value: vec4<f32>) {
  if (r >= rows_total) { return; }
  for (var i = 0u; i < 4u; i = i + 1u) {
    if (n + i < OUT) { y[r * OUT + n + i] = value[i]; }
  }
}
