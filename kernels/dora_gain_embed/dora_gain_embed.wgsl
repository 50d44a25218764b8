// g[d] = m[d] / || E[:, d] + s * sum_j A[:, j] B[j, d] ||   in place of m in an adapter image just uploaded.
// (DoRA on embed_tokens as PEFT's DoraEmbeddingLayer has it: an output is a column of E, the norm runs over the
// vocabulary.) One workgroup eight columns, invocations along the vocabulary; s B, which all of them read, in
// workgroup memory.
@group(0) @binding(0) var<storage, read> job: array<u32>;     // [0]: first page of the image in the head pool
@group(0) @binding(1) var<storage, read> w: array<vec4<u32>>; // E [VOCAB][HIDDEN] 16 bit
@group(0) @binding(2) var<storage, read_write> pool0: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> pool1: array<vec4<u32>>;
override HIDDEN: u32;
override VOCAB: u32;
override BF16: bool;
const NONE: u32 = 0xffffffffu;
const MAX_RANK: u32 = 256u;
var<workgroup> scaled_b: array<Eight, MAX_RANK>; // zero from the rank on, as A's rows are up to whole vectors

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let image = job[0];
  let m = image_module(image, 0u);
  let eights = HIDDEN / 8u;
  let e = wid.x;
  for (var j = lane; j < m.rank; j = j + WORKGROUP) {
    let b = image_eight(image, m.b, j * eights + e, m.bf16);
    scaled_b[j] = Eight(m.scale * b.lo, m.scale * b.hi);
  }
  workgroupBarrier();
  let row_vecs = (m.rank + 7u) / 8u;
  var lo = vec4<f32>();
  var hi = vec4<f32>();
  for (var t = lane; t < VOCAB; t = t + WORKGROUP) {
    var v = embedding(t * eights + e);
    for (var q = 0u; q < row_vecs; q = q + 1u) {
      let a = image_eight(image, m.a, t * row_vecs + q, m.bf16);
      #for i in 4
      let low{i} = scaled_b[q * 8u + {i}u];
      let high{i} = scaled_b[q * 8u + 4u + {i}u];
      v = Eight(v.lo + a.lo[{i}] * low{i}.lo, v.hi + a.lo[{i}] * low{i}.hi);
      v = Eight(v.lo + a.hi[{i}] * high{i}.lo, v.hi + a.hi[{i}] * high{i}.hi);
      #end
    }
    lo = lo + v.lo * v.lo;
    hi = hi + v.hi * v.hi;
  }
  let norm = Eight(
    sqrt(vec4<f32>(reduce_sum(lane, lo.x), reduce_sum(lane, lo.y), reduce_sum(lane, lo.z), reduce_sum(lane, lo.w))),
    sqrt(vec4<f32>(reduce_sum(lane, hi.x), reduce_sum(lane, hi.y), reduce_sum(lane, hi.z), reduce_sum(lane, hi.w))),
  );
  if (lane == 0u && m.gain != NONE) {
    let magnitude = image_f32x8(image, m.gain, e);
    store_gains(image, m.gain * 64u + 2u * e, magnitude.lo / norm.lo);
    store_gains(image, m.gain * 64u + 2u * e + 1u, magnitude.hi / norm.hi);
  }
}

fn embedding(at: u32) -> Eight {
  if (BF16) { return unpack_bf16(w[at]); }
  return unpack_f16(w[at]);
}

fn store_gains(image: u32, at: u32, four: vec4<f32>) {
  pool_store(image_page(image, at / PAGE_VECS), at % PAGE_VECS, bitcast<vec4<u32>>(four));
}
