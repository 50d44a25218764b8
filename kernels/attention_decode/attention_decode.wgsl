// partials[i, h] = (o [HEAD_DIM], m, l, 0, 0):  m = max_k s_k,  l = sum_k exp(s_k - m),  o = sum_k exp(s_k - m) V[k],
// s_k = q[t, h] . K[k] / sqrt(HEAD_DIM), over the keys of work item i = (t, first, end) that token t sees:
// [first, end) cut to (p - WINDOW, p], p its position; WINDOW 0: all of them. None left: o = 0, m = -3e38, l = 0.
// One workgroup: one item, one kv head, all GROUP q heads that share it, 64 keys at a time, heads in chunks of 4
// (the components of a vec4). Scores: invocation (key row, lane of 8) sums every 8th group of eight columns for
// 4 keys x 4 heads. Softmax: 16 invocations a chunk. Values: invocation (slice of keys, chunk, eight columns).
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;  // [T][HEADS][HEAD_DIM]
@group(0) @binding(2) var<storage, read> pool0: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> pool1: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> partials: array<vec4<f32>>; // [items][HEADS][HEAD_DIM / 4 + 1]
override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32;
override WINDOW: u32;
override PAGES_PER_BLOCK: u32;

const LOWEST: f32 = -3.0e38;
// [8 lanes][64 keys], a row padded by one against bank conflicts; at the end [128][2] sums of values.
var<workgroup> parts: array<vec4<f32>, 520>;
var<workgroup> weights: array<vec4<f32>, 256>; // [4 chunks][64 keys]: scores, then exp(s - m)
var<workgroup> lanes: array<vec4<f32>, 64>;    // [4 chunks][16]
var<workgroup> shrinks: array<vec4<f32>, 4>;   // [chunk]: exp(m before - m now)
var<workgroup> tops: array<vec4<f32>, 4>;      // [chunk]: m

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let item = wid.x;
  let kv_head = wid.y;
  let group = HEADS / KV_HEADS;
  let chunks = (group + 3u) / 4u;
  let eights = HEAD_DIM / 8u;
  let t = decode_item_token(item);
  let table = token_table(t);
  let seen = token_position(t) + 1u;
  let end = min(decode_item_end(item), seen);
  var first = decode_item_first(item);
  if (WINDOW > 0u && seen > WINDOW) { first = max(first, seen - WINDOW); }

  let works = lane < chunks * 16u; // of the softmax
  var m = vec4<f32>(LOWEST);
  var l = vec4<f32>(0.0);
  let width = chunks * eights; // invocations a slice of keys, at most 4 * 32
  let slices = 128u / width;
  let slice = lane / width;
  let chunk = (lane % width) / eights;
  let eight = lane % eights;
  var o0 = Eight(vec4<f32>(), vec4<f32>());
  var o1 = o0;
  var o2 = o0;
  var o3 = o0;

  for (var base = first; base < end; base = base + 64u) {
    let count = min(64u, end - base);
    for (var c = 0u; c < chunks; c = c + 1u) {
      let at = (lane % 8u) * 65u + lane / 8u;
      let s = scores(t, table, kv_head, c, base + lane / 8u, end - 1u, lane % 8u);
      parts[at] = s.k0;
      parts[at + 16u] = s.k1;
      parts[at + 32u] = s.k2;
      parts[at + 48u] = s.k3;
      workgroupBarrier();
      if (lane < 64u) {
        var sum = vec4<f32>(0.0);
        for (var i = 0u; i < 8u; i = i + 1u) { sum = sum + parts[i * 65u + lane]; }
        weights[c * 64u + lane] = select(vec4<f32>(LOWEST), sum * inverseSqrt(f32(HEAD_DIM)), lane < count);
      }
      workgroupBarrier();
    }

    let mine = (lane / 16u) * 64u + lane % 16u;
    if (works) {
      lanes[lane] = max(
        max(weights[mine], weights[mine + 16u]),
        max(weights[mine + 32u], weights[mine + 48u]),
      );
    }
    workgroupBarrier();
    if (works) {
      var top = m;
      for (var i = 0u; i < 16u; i = i + 1u) { top = max(top, lanes[lane - lane % 16u + i]); }
      let shrink = exp(m - top);
      m = top;
      l = l * shrink;
      for (var i = 0u; i < 64u; i = i + 16u) {
        let weight = exp(weights[mine + i] - m);
        weights[mine + i] = weight;
        l = l + weight;
      }
      if (lane % 16u == 0u) { shrinks[lane / 16u] = shrink; }
    }
    workgroupBarrier();

    if (slice < slices) {
      let shrink = shrinks[chunk];
      o0 = scaled(o0, shrink.x);
      o1 = scaled(o1, shrink.y);
      o2 = scaled(o2, shrink.z);
      o3 = scaled(o3, shrink.w);
      for (var k = slice; k < count; k = k + slices) {
        let v = unpack_f16(value_vec(table, base + k, kv_head, eight));
        let weight = weights[chunk * 64u + k];
        o0 = added(o0, v, weight.x);
        o1 = added(o1, v, weight.y);
        o2 = added(o2, v, weight.z);
        o3 = added(o3, v, weight.w);
      }
    }
  }

  let start = (item * HEADS + kv_head * group) * (HEAD_DIM / 4u + 1u);
  if (works) {
    lanes[lane] = l;
    if (lane % 16u == 0u) { tops[lane / 16u] = m; }
  }
  workgroupBarrier();
  if (lane < group) {
    var sum = 0.0;
    for (var i = 0u; i < 16u; i = i + 1u) { sum = sum + lanes[(lane / 4u) * 16u + i][lane % 4u]; }
    let m_l = vec4<f32>(tops[lane / 4u][lane % 4u], sum, 0.0, 0.0);
    partials[start + lane * (HEAD_DIM / 4u + 1u) + HEAD_DIM / 4u] = m_l;
  }
  for (var h = 0u; h < 4u; h = h + 1u) {
    var o = o0;
    if (h == 1u) { o = o1; }
    if (h == 2u) { o = o2; }
    if (h == 3u) { o = o3; }
    workgroupBarrier();
    parts[lane * 2u] = o.lo;
    parts[lane * 2u + 1u] = o.hi;
    workgroupBarrier();
    let head = chunk * 4u + h;
    if (slice == 0u && head < group) {
      var lo = vec4<f32>(0.0);
      var hi = vec4<f32>(0.0);
      for (var i = lane; i < slices * width; i = i + width) {
        lo = lo + parts[i * 2u];
        hi = hi + parts[i * 2u + 1u];
      }
      let to = start + head * (HEAD_DIM / 4u + 1u) + eight * 2u;
      partials[to] = lo;
      partials[to + 1u] = hi;
    }
  }
}

// Partial q . K of four keys, a component a head of the chunk.
struct Scores { k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32> }

// Keys `key`, + 16, + 32, + 48 (those past `last` read `last` again), columns of every 8th eight from `j` on.
fn scores(t: u32, table: u32, kv_head: u32, chunk: u32, key: u32, last: u32, j: u32) -> Scores {
  let group = HEADS / KV_HEADS;
  let heads = min(vec4<u32>(chunk * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(group - 1u));
  let rows = (vec4<u32>(t * HEADS + kv_head * group) + heads) * (HEAD_DIM / 4u);
  let keys = min(vec4<u32>(key) + vec4<u32>(0u, 16u, 32u, 48u), vec4<u32>(last));
  var s = Scores(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());
  for (var e = j; e < HEAD_DIM / 8u; e = e + 8u) {
    let at = rows + vec4<u32>(e * 2u);
    let q0 = Eight(q[at.x], q[at.x + 1u]);
    let q1 = Eight(q[at.y], q[at.y + 1u]);
    let q2 = Eight(q[at.z], q[at.z + 1u]);
    let q3 = Eight(q[at.w], q[at.w + 1u]);
    let k0 = unpack_f16(key_vec(table, keys.x, kv_head, e));
    let k1 = unpack_f16(key_vec(table, keys.y, kv_head, e));
    let k2 = unpack_f16(key_vec(table, keys.z, kv_head, e));
    let k3 = unpack_f16(key_vec(table, keys.w, kv_head, e));
    s = Scores(
      s.k0 + vec4<f32>(dot8(q0, k0), dot8(q1, k0), dot8(q2, k0), dot8(q3, k0)),
      s.k1 + vec4<f32>(dot8(q0, k1), dot8(q1, k1), dot8(q2, k1), dot8(q3, k1)),
      s.k2 + vec4<f32>(dot8(q0, k2), dot8(q1, k2), dot8(q2, k2), dot8(q3, k2)),
      s.k3 + vec4<f32>(dot8(q0, k3), dot8(q1, k3), dot8(q2, k3), dot8(q3, k3)),
    );
  }
  return s;
}

fn scaled(o: Eight, by: f32) -> Eight { return Eight(o.lo * by, o.hi * by); }
fn added(o: Eight, v: Eight, weight: f32) -> Eight {
  return Eight(fma(vec4<f32>(weight), v.lo, o.lo), fma(vec4<f32>(weight), v.hi, o.hi));
}
