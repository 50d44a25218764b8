// out[t, h] = sum_i exp(m_i - M) o_i / sum_i exp(m_i - M) l_i,  M = max_i m_i
// over the partial results (o [HEAD_DIM], m, l, 0, 0) of the work items of decode row (t, first item, items),
// which has two at least (attention_decode).
// One workgroup: one decode row, one head. Invocation (slice, four columns) takes every SLICES-th item, four of them
// in flight, with a running m of its own; the slices are brought together by the same formula.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>; // [items][HEADS][HEAD_DIM / 4 + 1]
@group(0) @binding(2) var<storage, read_write> out: array<vec2<u32>>; // [T][HEADS * HEAD_DIM] f16
override HEADS: u32;
override HEAD_DIM: u32;

const LOWEST: f32 = -3.0e38;
var<workgroup> sums: array<vec4<f32>, 256>; // [slice][four columns]
var<workgroup> ends: array<vec2<f32>, 128>; // [slice]: m, l

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let fours = HEAD_DIM / 4u;
  let slices = 256u / fours;
  let slice = lane / fours;
  let four = lane % fours;
  let t = decode_row_token(wid.x);
  let first = decode_row_first(wid.x);
  let count = decode_row_count(wid.x);

  var o = vec4<f32>(0.0);
  var m = LOWEST;
  var l = 0.0;
  if (slice < slices) {
    for (var i = slice; i < count; i = i + 4u * slices) {
      let items = vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u) * slices;
      let at = ((vec4<u32>(first) + min(items, vec4<u32>(count - 1u))) * HEADS + wid.y) * (fours + 1u);
      let e0 = partials[at.x + fours];
      let e1 = partials[at.y + fours];
      let e2 = partials[at.z + fours];
      let e3 = partials[at.w + fours];
      let o0 = partials[at.x + four];
      let o1 = partials[at.y + four];
      let o2 = partials[at.z + four];
      let o3 = partials[at.w + four];
      let ms = select(vec4<f32>(LOWEST), vec4<f32>(e0.x, e1.x, e2.x, e3.x), items < vec4<u32>(count));
      let top = max(max(max(ms.x, ms.y), max(ms.z, ms.w)), m);
      let by = select(vec4<f32>(0.0), exp(ms - top), items < vec4<u32>(count));
      let shrink = exp(m - top);
      o = fma(vec4<f32>(shrink), o, (by.x * o0 + by.y * o1) + (by.z * o2 + by.w * o3));
      l = fma(shrink, l, dot(by, vec4<f32>(e0.y, e1.y, e2.y, e3.y)));
      m = top;
    }
    sums[lane] = o;
    if (four == 0u) { ends[slice] = vec2<f32>(m, l); }
  }
  workgroupBarrier();
  if (slice > 0u) { return; }
  // Slices that had no item are left out.
  let used = min(slices, count);
  var top = LOWEST;
  for (var i = 0u; i < used; i = i + 4u) {
    let at = min(vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(used - 1u));
    top = max(top, max(max(ends[at.x].x, ends[at.y].x), max(ends[at.z].x, ends[at.w].x)));
  }
  o = vec4<f32>(0.0);
  l = 0.0;
  for (var i = 0u; i < used; i = i + 4u) {
    let slots = vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u);
    let at = min(slots, vec4<u32>(used - 1u));
    let e0 = ends[at.x];
    let e1 = ends[at.y];
    let e2 = ends[at.z];
    let e3 = ends[at.w];
    let ms = vec4<f32>(e0.x, e1.x, e2.x, e3.x);
    let by = select(vec4<f32>(0.0), exp(ms - top), slots < vec4<u32>(used));
    let places = at * fours + four;
    o = o + (by.x * sums[places.x] + by.y * sums[places.y]) + (by.z * sums[places.z] + by.w * sums[places.w]);
    l = l + dot(by, vec4<f32>(e0.y, e1.y, e2.y, e3.y));
  }
  let most = vec4<f32>(65504.0);
  let mean = clamp(o / l, -most, most);
  out[(t * HEADS + wid.y) * fours + four] = vec2<u32>(pack2x16float(mean.xy), pack2x16float(mean.zw));
}
