// partials[i, h] = (o [HEAD_DIM], m, l, 0, 0):  m = max_k s_k,  l = sum_k exp(s_k - m),  o = sum_k exp(s_k - m) V[k],
// s_k = q[t, h] . K[k] / sqrt(HEAD_DIM), over the keys of work item i = (t, first, end <= p + 1) that token t sees:
// p its position; if WINDOW > 0 those past p - WINDOW. None left: o = 0, m = -3e38, l = 0.
// An item that is alone has all keys of t: it writes out[t, h] = o / l in place of partials.
// One workgroup: one item, one kv head, up to four q heads that share it, the components of a vec4.
// Invocation (slot, eight columns) has keys slot, slot + SLOTS, .. of every KEYS, both K and V, and loads the
// next four of each as soon as it has used the last. Scores are summed over a key's invocations in workgroup memory;
// m, l and o are each slot's own until the end, when the slots are brought together by the same formula.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;  // [T][HEADS][HEAD_DIM]
@group(0) @binding(2) var<storage, read> pool0: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> pool1: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> partials: array<vec4<f32>>; // [items][HEADS][HEAD_DIM / 4 + 1]
@group(0) @binding(5) var<storage, read_write> out: array<vec2<u32>>; // [T][HEADS * HEAD_DIM] f16
override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32;
override WINDOW: u32;
override PAGES_PER_BLOCK: u32;

override EIGHTS: u32 = HEAD_DIM / 8u;
override SLOTS: u32 = 8u / (1u + (HEAD_DIM - 1u) / 128u); // 4 for heads wider than 128
override LANES: u32 = EIGHTS * SLOTS; // at most 128: small workgroups wait for each other's loads less
override KEYS: u32 = 4u * SLOTS;
override STRIDE: u32 = KEYS + 1u; // padded by one against bank conflicts
override PARTS: u32 = (EIGHTS + 3u) / 4u * 4u * STRIDE;

const LOWEST: f32 = -3.0e38;
// [eight][key]: parts of scores, zero past EIGHTS, for nobody writes there; at the end [2 heads][slot][HEAD_DIM / 4].
var<workgroup> parts: array<vec4<f32>, PARTS>;
var<workgroup> scores: array<vec4<f32>, KEYS>;  // [key]
var<workgroup> tops: array<vec4<f32>, SLOTS>;   // [slot]: m
var<workgroup> totals: array<vec4<f32>, SLOTS>; // [slot]: l, shrunk to the largest m

struct Quad { at0: vec4<u32>, at1: vec4<u32>, at2: vec4<u32>, at3: vec4<u32> }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = HEADS / KV_HEADS;
  let chunks = (group + 3u) / 4u;
  let kv_head = wid.x / chunks;
  let head = (wid.x % chunks) * 4u; // the first of four
  let item = wid.y;
  let slot = lane / EIGHTS;
  let eight = lane % EIGHTS;
  let t = decode_item_token(item);
  let table = decode_item_table(item);
  let end = decode_item_end(item);
  var first = decode_item_first(item);
  if (WINDOW > 0u) {
    let seen = token_position(t) + 1u;
    if (seen > WINDOW) { first = max(first, seen - WINDOW); }
  }
  let record = HEAD_DIM / 4u + 1u;
  let to = (item * HEADS + kv_head * group + head) * record;
  let heads = min(group - head, 4u);
  if (first >= end) {
    for (var i = lane; i < heads * record; i = i + LANES) {
      partials[to + i] = select(vec4<f32>(), vec4<f32>(LOWEST, 0.0, 0.0, 0.0), i % record == HEAD_DIM / 4u);
    }
    return;
  }

  // Where there are fewer than four heads the last one's work is done again and not written.
  let rows = vec4<u32>(t * HEADS + kv_head * group) + min(vec4<u32>(head) + STEPS, vec4<u32>(group - 1u));
  let q_at = rows * (HEAD_DIM / 4u) + eight * 2u;
  let key_row = kv_head * 16u;
  let value_row = (KV_HEADS + kv_head) * 16u;
  var keys = keys_from(first, slot, end);
  var k = load(pages_of(table, keys, key_row, eight), keys, key_row, eight);
  var v = load(pages_of(table, keys, value_row, eight), keys, value_row, eight);
  let scale = inverseSqrt(f32(HEAD_DIM));
  let q0 = Eight(q[q_at.x] * scale, q[q_at.x + 1u] * scale);
  let q1 = Eight(q[q_at.y] * scale, q[q_at.y + 1u] * scale);
  let q2 = Eight(q[q_at.z] * scale, q[q_at.z + 1u] * scale);
  let q3 = Eight(q[q_at.w] * scale, q[q_at.w + 1u] * scale);
  keys = keys_from(first + KEYS, slot, end);
  var key_pages = pages_of(table, keys, key_row, eight);
  var value_pages = pages_of(table, keys, value_row, eight);

  var m = vec4<f32>(LOWEST);
  var l = vec4<f32>(0.0);
  var o0 = Eight(vec4<f32>(), vec4<f32>());
  var o1 = o0;
  var o2 = o0;
  var o3 = o0;
  for (var base = first; base < end; base = base + KEYS) {
    let more = base + KEYS < end;
    let at = eight * STRIDE + slot;
    parts[at] = products(q0, q1, q2, q3, unpack_f16(k.at0));
    parts[at + SLOTS] = products(q0, q1, q2, q3, unpack_f16(k.at1));
    parts[at + 2u * SLOTS] = products(q0, q1, q2, q3, unpack_f16(k.at2));
    parts[at + 3u * SLOTS] = products(q0, q1, q2, q3, unpack_f16(k.at3));
    if (more) { k = load(key_pages, keys, key_row, eight); }
    workgroupBarrier();
    for (var i = lane; i < KEYS; i = i + LANES) { sum_scores(i, base, end); }
    workgroupBarrier();

    let s0 = scores[slot];
    let s1 = scores[slot + SLOTS];
    let s2 = scores[slot + 2u * SLOTS];
    let s3 = scores[slot + 3u * SLOTS];
    let top = max(max(max(s0, s1), max(s2, s3)), m);
    // A slot that has no key has weights of 1 here, and m = LOWEST, which makes nothing of it at the end.
    let shrink = exp(m - top);
    let w0 = exp(s0 - top);
    let w1 = exp(s1 - top);
    let w2 = exp(s2 - top);
    let w3 = exp(s3 - top);
    m = top;
    l = fma(l, shrink, (w0 + w1) + (w2 + w3));
    o0 = Eight(o0.lo * shrink.x, o0.hi * shrink.x);
    o1 = Eight(o1.lo * shrink.y, o1.hi * shrink.y);
    o2 = Eight(o2.lo * shrink.z, o2.hi * shrink.z);
    o3 = Eight(o3.lo * shrink.w, o3.hi * shrink.w);
    #for i in 4
    {
      let value = unpack_f16(v.at{i});
      o0 = plus(o0, w{i}.x, value);
      o1 = plus(o1, w{i}.y, value);
      o2 = plus(o2, w{i}.z, value);
      o3 = plus(o3, w{i}.w, value);
    }
    #end
    if (more) {
      v = load(value_pages, keys, value_row, eight);
      keys = keys_from(base + 2u * KEYS, slot, end);
      key_pages = pages_of(table, keys, key_row, eight);
      value_pages = pages_of(table, keys, value_row, eight);
    }
  }

  if (eight == 0u) { tops[slot] = m; }
  workgroupBarrier();
  var top = tops[0];
  for (var i = 0u; i < SLOTS; i = i + 4u) {
    top = max(top, max(max(tops[i], tops[i + 1u]), max(tops[i + 2u], tops[i + 3u])));
  }
  let shrink = exp(m - top);
  if (eight == 0u) { totals[slot] = l * shrink; }
  put(lane, 0u, o0, shrink.x);
  put(lane, 1u, o1, shrink.y);
  workgroupBarrier();
  var total = vec4<f32>(0.0);
  for (var i = 0u; i < SLOTS; i = i + 4u) {
    total = total + (totals[i] + totals[i + 1u]) + (totals[i + 2u] + totals[i + 3u]);
  }
  let alone = decode_item_alone(item);
  let result = (t * HEADS + kv_head * group + head) * (HEAD_DIM / 4u);
  if (lane < heads && !alone) {
    partials[to + lane * record + HEAD_DIM / 4u] = vec4<f32>(top[lane], total[lane], 0.0, 0.0);
  }
  for (var i = lane; i < EIGHTS * 4u; i = i + LANES) {
    let h = i / (EIGHTS * 2u);
    if (h < heads) { leave(alone, to, result, h, i, total[h]); }
  }
  if (heads <= 2u) { return; }
  workgroupBarrier();
  put(lane, 0u, o2, shrink.z);
  put(lane, 1u, o3, shrink.w);
  workgroupBarrier();
  for (var i = lane; i < EIGHTS * 4u; i = i + LANES) {
    let h = 2u + i / (EIGHTS * 2u);
    if (h < heads) { leave(alone, to, result, h, i, total[h]); }
  }
}

// Four columns of head h, the i-th of those put: as they are from `to` on, or over l from `result` on.
fn leave(alone: bool, to: u32, result: u32, h: u32, i: u32, l: f32) {
  let fours = HEAD_DIM / 4u;
  let o = taken(i);
  if (!alone) {
    partials[to + h * (fours + 1u) + i % fours] = o;
    return;
  }
  let most = vec4<f32>(65504.0);
  let mean = clamp(o / l, -most, most);
  out[result + h * fours + i % fours] = vec2<u32>(pack2x16float(mean.xy), pack2x16float(mean.zw));
}

const STEPS: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

// A slot's keys of the next KEYS; those past the end read the last one again.
fn keys_from(base: u32, slot: u32, end: u32) -> vec4<u32> {
  return min(vec4<u32>(base + slot) + STEPS * SLOTS, vec4<u32>(end - 1u));
}
fn pages_of(table: u32, keys: vec4<u32>, row: u32, eight: u32) -> vec4<u32> {
  let vecs = vecs_of(keys, row, eight);
  return vec4<u32>(
    block_page(table, keys.x, vecs.x), block_page(table, keys.y, vecs.y),
    block_page(table, keys.z, vecs.z), block_page(table, keys.w, vecs.w),
  );
}
fn vecs_of(keys: vec4<u32>, row: u32, eight: u32) -> vec4<u32> {
  return (vec4<u32>(row) + keys % 16u) * EIGHTS + eight;
}
fn load(pages: vec4<u32>, keys: vec4<u32>, row: u32, eight: u32) -> Quad {
  let vecs = vecs_of(keys, row, eight);
  return Quad(
    page_load(pages.x, vecs.x), page_load(pages.y, vecs.y),
    page_load(pages.z, vecs.z), page_load(pages.w, vecs.w),
  );
}

fn products(q0: Eight, q1: Eight, q2: Eight, q3: Eight, k: Eight) -> vec4<f32> {
  return vec4<f32>(dot8(q0, k), dot8(q1, k), dot8(q2, k), dot8(q3, k));
}

fn sum_scores(key: u32, base: u32, end: u32) {
  var sum = vec4<f32>(0.0);
  for (var e = 0u; e < EIGHTS; e = e + 4u) {
    let at = e * STRIDE + key;
    sum = sum + (parts[at] + parts[at + STRIDE]) + (parts[at + 2u * STRIDE] + parts[at + 3u * STRIDE]);
  }
  scores[key] = select(vec4<f32>(LOWEST), sum, base + key < end);
}

fn plus(o: Eight, weight: f32, value: Eight) -> Eight {
  let w = vec4<f32>(weight);
  return Eight(fma(w, value.lo, o.lo), fma(w, value.hi, o.hi));
}

// Two heads' columns of all slots into workgroup memory, and four columns of one of them, summed over the slots.
fn put(lane: u32, h: u32, o: Eight, shrink: f32) {
  let at = (h * LANES + lane) * 2u;
  parts[at] = o.lo * shrink;
  parts[at + 1u] = o.hi * shrink;
}
fn taken(i: u32) -> vec4<f32> {
  let four = EIGHTS * 2u;
  var at = (i / four) * LANES * 2u + i % four;
  var sum = vec4<f32>(0.0);
  for (var s = 0u; s < SLOTS; s = s + 4u) {
    sum = sum + (parts[at] + parts[at + four]) + (parts[at + 2u * four] + parts[at + 3u * four]);
    at = at + 4u * four;
  }
  return sum;
}
