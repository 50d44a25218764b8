// partials[i, h] = (o [HEAD_DIM], m, l, 0, 0):  l = sum_k exp(s_k - m),  o = sum_k exp(s_k - m) V[k],
// s_k = q[t, h] . K[k] / sqrt(HEAD_DIM), over the keys of work item i = (t, first, end <= p + 1) that token t sees:
// p its position; if WINDOW > 0 those past p - WINDOW. m is some score that none exceeds by more than GROWTH, so that
// sums need not be scaled whenever there is a larger one. No keys left: o = 0, m = -3e38, l = 0.
// An item that is alone has all keys of t: it writes out[t, h] = o / l in place of partials.
// One workgroup: one item, one kv head, up to four q heads that share it, the components of a vec4.
// Invocation (slot, eight columns) has keys slot, slot + SLOTS, .. of every KEYS, both K and V, and loads the
// next four of each as soon as it has used the last. An invocation a key sums its scores over its columns' invocations,
// and makes their weights. l and o are each slot's own until the end.
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
// e^8 times a sequence's keys is far within f32, and sums lose no precision: l and o grow alike.
const GROWTH: f32 = 8.0;
// [eight][key]: parts of scores, zero past EIGHTS, for nobody writes there; at the end [2 heads][slot][HEAD_DIM / 4].
var<workgroup> parts: array<vec4<f32>, PARTS>;
var<workgroup> scores: array<vec4<f32>, KEYS>;  // [key]
var<workgroup> weights: array<vec4<f32>, KEYS>; // [key]: exp(score - m)
var<workgroup> totals: array<vec4<f32>, SLOTS>; // [slot]: l
// 1 + the first key of the last turn in which some score exceeded m by more than GROWTH.
var<workgroup> outgrown: atomic<u32>;

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
  let start = first - first % 16u; // of a block, so that a turn's keys lie in few of them
  let last = (end - 1u) / 16u;     // block
  let key_vec = (kv_head * 16u + slot) * EIGHTS + eight;
  let value_vec = ((KV_HEADS + kv_head) * 16u + slot) * EIGHTS + eight;
  var blocks = blocks_from(start, last);
  var pages = pages_of(table, blocks);
  var k = load(table, blocks, pages, key_vec);
  var v = load(table, blocks, pages, value_vec);
  let scale = inverseSqrt(f32(HEAD_DIM));
  let q0 = Eight(q[q_at.x] * scale, q[q_at.x + 1u] * scale);
  let q1 = Eight(q[q_at.y] * scale, q[q_at.y + 1u] * scale);
  let q2 = Eight(q[q_at.z] * scale, q[q_at.z + 1u] * scale);
  let q3 = Eight(q[q_at.w] * scale, q[q_at.w + 1u] * scale);
  blocks = blocks_from(start + KEYS, last);
  pages = pages_of(table, blocks);

  var m = vec4<f32>(LOWEST);
  var l = vec4<f32>(0.0);
  var o0 = Eight(vec4<f32>(), vec4<f32>());
  var o1 = o0;
  var o2 = o0;
  var o3 = o0;
  for (var base = start; base < end; base = base + KEYS) {
    let more = base + KEYS < end;
    let at = eight * STRIDE + slot;
    #for i in 4
    parts[at + {i}u * SLOTS] = products(q0, q1, q2, q3, unpack_f16(k.at{i}));
    #end
    if (more) { k = load(table, blocks, pages, key_vec); }
    workgroupBarrier();
    for (var i = lane; i < KEYS; i = i + LANES) {
      let score = select(vec4<f32>(LOWEST), sum_scores(i), base + i >= first && base + i < end);
      if (any(score > m + GROWTH)) { atomicStore(&outgrown, base + 1u); }
      scores[i] = score;
      weights[i] = exp(score - m); // infinite in the first turn, which has a key and so another m
    }
    workgroupBarrier();

    #for i in 4
    var w{i} = weights[slot + {i}u * SLOTS];
    #end
    if (atomicLoad(&outgrown) == base + 1u) {
      var top = m;
      for (var i = 0u; i < KEYS; i = i + 4u) {
        top = max(top, max(max(scores[i], scores[i + 1u]), max(scores[i + 2u], scores[i + 3u])));
      }
      let shrink = exp(m - top);
      m = top;
      l = l * shrink;
      o0 = Eight(o0.lo * shrink.x, o0.hi * shrink.x);
      o1 = Eight(o1.lo * shrink.y, o1.hi * shrink.y);
      o2 = Eight(o2.lo * shrink.z, o2.hi * shrink.z);
      o3 = Eight(o3.lo * shrink.w, o3.hi * shrink.w);
      #for i in 4
      w{i} = exp(scores[slot + {i}u * SLOTS] - m);
      #end
    }
    if (base < first || base + KEYS > end) {
      // What lies in a block beside its keys may be no number, which no weight makes nothing of.
      #for i in 4
      let position{i} = base + slot + {i}u * SLOTS;
      v.at{i} = select(vec4<u32>(), v.at{i}, position{i} >= first && position{i} < end);
      #end
    }
    l = l + ((w0 + w1) + (w2 + w3));
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
      v = load(table, blocks, pages, value_vec);
      blocks = blocks_from(base + 2u * KEYS, last);
      pages = pages_of(table, blocks);
    }
  }

  if (eight == 0u) { totals[slot] = l; }
  put(lane, 0u, o0);
  put(lane, 1u, o1);
  workgroupBarrier();
  var total = vec4<f32>(0.0);
  for (var i = 0u; i < SLOTS; i = i + 4u) {
    total = total + (totals[i] + totals[i + 1u]) + (totals[i + 2u] + totals[i + 3u]);
  }
  let alone = decode_item_alone(item);
  let result = (t * HEADS + kv_head * group + head) * (HEAD_DIM / 4u);
  if (lane < heads && !alone) {
    partials[to + lane * record + HEAD_DIM / 4u] = vec4<f32>(m[lane], total[lane], 0.0, 0.0);
  }
  for (var i = lane; i < EIGHTS * 4u; i = i + LANES) {
    let h = i / (EIGHTS * 2u);
    if (h < heads) { leave(alone, to, result, h, i, total[h]); }
  }
  if (heads <= 2u) { return; }
  workgroupBarrier();
  put(lane, 0u, o2);
  put(lane, 1u, o3);
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

// The blocks of KEYS keys, which are 16 or 32, from position `base` on; past the last one that again.
fn blocks_from(base: u32, last: u32) -> vec2<u32> {
  return min(vec2<u32>(base / 16u, base / 16u + 1u), vec2<u32>(last));
}
// Their pages, asked for before they are needed; where a block has several they are found with what is loaded.
fn pages_of(table: u32, blocks: vec2<u32>) -> vec2<u32> {
  if (PAGES_PER_BLOCK > 1u) { return vec2<u32>(); }
  return vec2<u32>(step[table + blocks.x], step[table + blocks.y]);
}
// A slot's four vectors, `vec` the first one's place in its block.
fn load(table: u32, blocks: vec2<u32>, pages: vec2<u32>, vec: u32) -> Quad {
  return Quad(
    #for i in 4
    load_one(table, blocks[{i}u * SLOTS / 16u], pages[{i}u * SLOTS / 16u], vec + {i}u * SLOTS % 16u * EIGHTS),
    #end
  );
}
fn load_one(table: u32, block: u32, page: u32, vec: u32) -> vec4<u32> {
  if (PAGES_PER_BLOCK > 1u) { return page_load(block_page(table, block * 16u, vec), vec); }
  return page_load(page, vec);
}

fn products(q0: Eight, q1: Eight, q2: Eight, q3: Eight, k: Eight) -> vec4<f32> {
  return vec4<f32>(dot8(q0, k), dot8(q1, k), dot8(q2, k), dot8(q3, k));
}

fn sum_scores(key: u32) -> vec4<f32> {
  var sum = vec4<f32>(0.0);
  for (var e = 0u; e < EIGHTS; e = e + 4u) {
    let at = e * STRIDE + key;
    sum = sum + (parts[at] + parts[at + STRIDE]) + (parts[at + 2u * STRIDE] + parts[at + 3u * STRIDE]);
  }
  return sum;
}

fn plus(o: Eight, weight: f32, value: Eight) -> Eight {
  let w = vec4<f32>(weight);
  return Eight(fma(w, value.lo, o.lo), fma(w, value.hi, o.hi));
}

// Two heads' columns of all slots into workgroup memory, and four columns of one of them, summed over the slots.
fn put(lane: u32, h: u32, o: Eight) {
  let at = (h * LANES + lane) * 2u;
  parts[at] = o.lo;
  parts[at + 1u] = o.hi;
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
