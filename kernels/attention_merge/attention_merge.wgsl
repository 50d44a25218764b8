// out[t, h] = sum_i exp(m_i - M) o_i / sum_i exp(m_i - M) l_i,  M = max_i m_i
// over the partial results (o, m, l)[HEAD_DIM + 2] of the work items of decode row (t, first item, items).
// One workgroup: one decode row, one head; an invocation takes every 64th pair of columns.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> partials: array<f32>; // [items][HEADS][HEAD_DIM + 2]
@group(0) @binding(2) var<storage, read_write> out: array<u32>; // [T][HEADS * HEAD_DIM] f16, in pairs
override HEADS: u32;
override HEAD_DIM: u32;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let t = decode_row_token(wid.x);
  let stride = HEADS * (HEAD_DIM + 2u);
  let first = decode_row_first(wid.x) * stride + wid.y * (HEAD_DIM + 2u);
  let past = first + decode_row_count(wid.x) * stride;
  var top = -3.0e38;
  for (var i = first; i < past; i = i + stride) { top = max(top, partials[i + HEAD_DIM]); }
  var l = 0.0;
  for (var i = first; i < past; i = i + stride) {
    l = l + exp(partials[i + HEAD_DIM] - top) * partials[i + HEAD_DIM + 1u];
  }
  for (var d = lane; d < HEAD_DIM / 2u; d = d + 64u) {
    var o = vec2<f32>(0.0);
    for (var i = first; i < past; i = i + stride) {
      let weight = vec2<f32>(exp(partials[i + HEAD_DIM] - top));
      o = fma(weight, vec2<f32>(partials[i + 2u * d], partials[i + 2u * d + 1u]), o);
    }
    let most = vec2<f32>(65504.0);
    out[(t * HEADS + wid.y) * (HEAD_DIM / 2u) + d] = pack2x16float(clamp(o / l, -most, most));
  }
}
