// g[o] = m[o] / || W[o, :] + s * sum_j B[j, o] A[j, :] ||   in place of m in an adapter image just uploaded.
// (DoRA, arXiv 2402.09353 eq. 5; the norm runs over the input dimension of the weights as they are on the GPU.)
// One workgroup four outputs, so that whole vectors of g are written; invocations along the input. Past the last
// output, where the image is padded, the last one is computed again.
@group(0) @binding(0) var<storage, read> job: array<u32>;        // [0]: first page of the image
@group(0) @binding(1) var<storage, read> w: array<vec4<u32>>;    // fused weight [FUSED][IN]
@group(0) @binding(2) var<storage, read_write> pool0: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> pool1: array<vec4<u32>>;
override IN: u32;
override OUT: u32;
override ROW0: u32;   // the part's first row within the fused weight
override MODULE: u32;
override FUSED: u32;  // rows of the fused weight: in int8 their scales follow it
override DTYPE: u32;  // 0: f16, 1: bf16, 2: int8
const NONE: u32 = 0xffffffffu;

fn weight_row(o: u32, k8: u32) -> Eight {
  let row = ROW0 + min(o, OUT - 1u);
  let at = row * (IN / 8u) + k8;
  if (DTYPE == 2u) {
    let eight = select(w[at / 2u].xy, w[at / 2u].zw, at % 2u == 1u);
    let scale = bitcast<f32>(w[FUSED * (IN / 16u) + row / 4u][row % 4u]);
    return Eight(scale * unpack_i8(eight.x), scale * unpack_i8(eight.y));
  }
  let v = w[at];
  if (DTYPE == 1u) { return unpack_bf16(v); }
  return unpack_f16(v);
}

fn pick(e: Eight, i: u32) -> f32 {
  if (i < 4u) { return e.lo[i]; }
  return e.hi[i - 4u];
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let o = (wid.y * grid.x + wid.x) * 4u;
  if (o >= OUT) { return; }
  let image = job[0];
  let m = image_module(image, MODULE);
  var rank = m.rank;
  if (m.gain == NONE) { rank = 0u; }
  var squares = vec4<f32>();
  for (var k8 = lane; k8 < IN / 8u; k8 = k8 + WORKGROUP) {
    var v0 = weight_row(o, k8);
    var v1 = weight_row(o + 1u, k8);
    var v2 = weight_row(o + 2u, k8);
    var v3 = weight_row(o + 3u, k8);
    for (var j = 0u; j < rank; j = j + 1u) {
      let a = image_eight(image, m.a, j * (IN / 8u) + k8, m.bf16);
      let b = image_eight(image, m.b, j * ((OUT + 7u) / 8u) + o / 8u, m.bf16);
      let b0 = m.scale * pick(b, o % 8u);
      let b1 = m.scale * pick(b, o % 8u + 1u);
      let b2 = m.scale * pick(b, o % 8u + 2u);
      let b3 = m.scale * pick(b, o % 8u + 3u);
      v0 = Eight(v0.lo + b0 * a.lo, v0.hi + b0 * a.hi);
      v1 = Eight(v1.lo + b1 * a.lo, v1.hi + b1 * a.hi);
      v2 = Eight(v2.lo + b2 * a.lo, v2.hi + b2 * a.hi);
      v3 = Eight(v3.lo + b3 * a.lo, v3.hi + b3 * a.hi);
    }
    squares = squares + vec4<f32>(dot8(v0, v0), dot8(v1, v1), dot8(v2, v2), dot8(v3, v3));
  }
  let norm = sqrt(vec4<f32>(
    reduce_sum(lane, squares.x), reduce_sum(lane, squares.y),
    reduce_sum(lane, squares.z), reduce_sum(lane, squares.w),
  ));
  if (lane == 0u && m.gain != NONE) {
    let at = m.gain * 64u + o / 4u;
    let magnitude = bitcast<vec4<f32>>(image_vec(image, m.gain, o / 4u));
    pool_store(image_page(image, at / PAGE_VECS), at % PAGE_VECS, bitcast<vec4<u32>>(magnitude / norm));
  }
}
