// out[t, h] = softmax_k(q[t, h] . K[k] / sqrt(HEAD_DIM)) V   for every token t of tile i, at position p,
// over the keys k of its sequence with k <= p and, if WINDOW > 0, k > p - WINDOW; all of them are in the pages.
// A tile is up to 64 tokens of one sequence at consecutive positions. Its rows, for one kv head, are the pairs
// (token, q head that shares the kv head), token by token; a workgroup takes ROWS of them, 16 keys at a time.
// Scores: invocation (4 rows, key). Values: invocation (4 rows, eight columns). The 4 rows are a vec4's components.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;  // [T][HEADS][HEAD_DIM]
@group(0) @binding(2) var<storage, read> pool0: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> pool1: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<u32>>; // [T][HEADS * HEAD_DIM] f16
override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32;
override WINDOW: u32;
override PAGES_PER_BLOCK: u32;

const LOWEST: f32 = -3.0e38;
// [16 keys][HEAD_DIM / 8 and one against bank conflicts]: the keys, then the values of 16 positions.
var<workgroup> rows16: array<vec4<u32>, 528>;
var<workgroup> weights: array<vec4<f32>, 256>; // [16 keys][16 groups of 4 rows]: scores, then exp(s - m)
var<workgroup> shrinks: array<vec4<f32>, 16>;  // [group of rows]: exp(m before - m now)

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let kv_head = wid.y;
  let group = HEADS / KV_HEADS;
  let eights = HEAD_DIM / 8u;
  let rows_here = min(64u, 4u * (256u / eights)); // ROWS
  let first_row = wid.z * rows_here;
  let rows = prefill_tile_count(wid.x) * group;
  if (first_row >= rows) { return; }
  let token = prefill_tile_first(wid.x);
  let table = token_table(token);
  let position = token_position(token);
  let past = position + (min(first_row + rows_here, rows) - 1u) / group + 1u; // past the last key seen
  var start = 0u;                                                            // the first key seen
  let oldest = position + first_row / group + 1u;
  if (WINDOW > 0u && oldest > WINDOW) { start = oldest - WINDOW; }

  // Rows past the end do the last row's work again and write nothing.
  let mine = min(vec4<u32>(first_row + lane / 16u * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(rows - 1u));
  let positions = vec4<u32>(position) + mine / group;
  let heads = (vec4<u32>(token) + mine / group) * HEADS + kv_head * group + mine % group;
  let key = lane % 16u;
  var m = vec4<f32>(LOWEST);
  var l = vec4<f32>(0.0);

  let quad = lane / eights;
  let eight = lane % eights;
  let works = quad < rows_here / 4u; // on values
  var o0 = Eight(vec4<f32>(), vec4<f32>());
  var o1 = o0;
  var o2 = o0;
  var o3 = o0;

  for (var base = start - start % 16u; base < past; base = base + 16u) {
    for (var i = lane; i < 16u * eights; i = i + 256u) {
      let at = clamp(base + i / eights, start, past - 1u);
      rows16[(i / eights) * (eights + 1u) + i % eights] = key_vec(table, at, kv_head, i % eights);
    }
    workgroupBarrier();
    var s = vec4<f32>(0.0);
    for (var e = 0u; e < eights; e = e + 1u) {
      let k = unpack_f16(rows16[key * (eights + 1u) + e]);
      let at = heads * (HEAD_DIM / 4u) + vec4<u32>(e * 2u);
      s = s + vec4<f32>(dot(q[at.x], k.lo), dot(q[at.y], k.lo), dot(q[at.z], k.lo), dot(q[at.w], k.lo));
      let up = at + vec4<u32>(1u);
      s = s + vec4<f32>(dot(q[up.x], k.hi), dot(q[up.y], k.hi), dot(q[up.z], k.hi), dot(q[up.w], k.hi));
    }
    let seen = sees(positions, base + key);
    s = select(vec4<f32>(LOWEST), s * inverseSqrt(f32(HEAD_DIM)), seen);
    weights[key * 16u + lane / 16u] = s;
    workgroupBarrier();
    var top = m;
    for (var k = 0u; k < 16u; k = k + 1u) { top = max(top, weights[k * 16u + lane / 16u]); }
    // A row that has seen no key yet has weights of 1 here; its first key shrinks them to 0.
    let weight = exp(s - top);
    let shrink = exp(m - top);
    l = l * shrink + weight;
    m = top;
    for (var i = lane; i < 16u * eights; i = i + 256u) {
      let at = clamp(base + i / eights, start, past - 1u);
      rows16[(i / eights) * (eights + 1u) + i % eights] = value_vec(table, at, kv_head, i % eights);
    }
    workgroupBarrier();
    weights[key * 16u + lane / 16u] = weight;
    if (key == 0u) { shrinks[lane / 16u] = shrink; }
    workgroupBarrier();
    if (works) {
      let by = shrinks[quad];
      o0 = Eight(o0.lo * by.x, o0.hi * by.x);
      o1 = Eight(o1.lo * by.y, o1.hi * by.y);
      o2 = Eight(o2.lo * by.z, o2.hi * by.z);
      o3 = Eight(o3.lo * by.w, o3.hi * by.w);
      for (var k = 0u; k < 16u; k = k + 1u) {
        let v = unpack_f16(rows16[k * (eights + 1u) + eight]);
        let w = weights[k * 16u + quad];
        o0 = added(o0, v, w.x);
        o1 = added(o1, v, w.y);
        o2 = added(o2, v, w.z);
        o3 = added(o3, v, w.w);
      }
    }
    workgroupBarrier();
  }

  weights[key * 16u + lane / 16u] = l;
  workgroupBarrier();
  if (works) {
    var sum = vec4<f32>(0.0);
    for (var k = 0u; k < 16u; k = k + 1u) { sum = sum + weights[k * 16u + quad]; }
    let row = first_row + quad * 4u;
    let end = min(rows, first_row + rows_here);
    store(token, kv_head, row, end, eight, o0, sum.x);
    store(token, kv_head, row + 1u, end, eight, o1, sum.y);
    store(token, kv_head, row + 2u, end, eight, o2, sum.z);
    store(token, kv_head, row + 3u, end, eight, o3, sum.w);
  }
}

fn sees(positions: vec4<u32>, key: u32) -> vec4<bool> {
  let causal = vec4<u32>(key) <= positions;
  if (WINDOW == 0u) { return causal; }
  return causal & (vec4<u32>(key + WINDOW) > positions);
}

fn added(o: Eight, v: Eight, weight: f32) -> Eight {
  return Eight(fma(vec4<f32>(weight), v.lo, o.lo), fma(vec4<f32>(weight), v.hi, o.hi));
}

fn store(token: u32, kv_head: u32, row: u32, end: u32, eight: u32, o: Eight, l: f32) {
  if (row >= end) { return; }
  let group = HEADS / KV_HEADS;
  let head = (token + row / group) * HEADS + kv_head * group + row % group;
  out[head * (HEAD_DIM / 8u) + eight] = pack_activation(Eight(o.lo / l, o.hi / l));
}
