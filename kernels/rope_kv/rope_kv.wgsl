// q[t, h] = rope(norm(y_q[t, h])), and into the pool: K[t, h] = rope(norm(y_k[t, h])), V[t, h] = y_v[t, h],
// where y = g * (W x + B u) + bias is completed here (shared/lora_expand.wgsl) and norm is Qwen3's per-head
// RMS norm or nothing. rope turns (d, d + HEAD_DIM / 2) by position * theta_d, table [position][HEAD_DIM / 2]
// of (cos, sin). KV block of 16 tokens: K [KV_HEADS][16][HEAD_DIM] then V, f16.
// One invocation: columns 8j .. 8j + 7 of one head, which is never split between workgroups: those HEAD_DIM / 2 further
// come from their own invocation. Work: tokens x ceil(heads / heads a workgroup).
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;   // [planes][T][(HEADS + 2 KV_HEADS) * HEAD_DIM]
@group(0) @binding(2) var<storage, read> u: array<f32>;           // [T][K][3][256]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;  // [(HEADS + 2 KV_HEADS) * HEAD_DIM], if QKV_BIAS
@group(0) @binding(4) var<storage, read> norms: array<vec4<f32>>; // [2][HEAD_DIM] of q, k, if QK_NORM
@group(0) @binding(5) var<storage, read> rope: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> pool0: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read_write> pool1: array<vec4<u32>>;
@group(0) @binding(8) var<storage, read_write> q: array<vec4<f32>>; // [T][HEADS * HEAD_DIM]
override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32;
override QKV_BIAS: bool;
override QK_NORM: bool;
override EPS: f32;
override PAGES_PER_BLOCK: u32;
override HEAD_POOL: bool = false;

var<workgroup> squares: array<f32, 64>;
var<workgroup> halves: array<Eight, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let lanes = HEAD_DIM / 8u; // invocations a head
  let heads_here = 64u / lanes;
  let heads_all = HEADS + 2u * KV_HEADS;
  let groups = (heads_all + heads_here - 1u) / heads_here;
  let work = wid.y * grid.x + wid.x;
  if (work >= step_tokens() * groups) { return; }
  let t = work / groups;
  let head = (work % groups) * heads_here + lane / lanes;
  let j = lane % lanes;
  let works = lane < heads_here * lanes && head < heads_all;
  let turns = head < HEADS + KV_HEADS;

  var own = Eight(vec4<f32>(), vec4<f32>());
  if (works) { own = column(t, head, j); }
  if (QK_NORM) {
    squares[lane] = dot8(own, own);
    workgroupBarrier();
    if (turns && works) {
      var sum = 0.0;
      for (var i = 0u; i < lanes; i = i + 1u) { sum = sum + squares[lane - j + i]; }
      let r = inverseSqrt(sum / f32(HEAD_DIM) + EPS);
      let at = select(0u, HEAD_DIM / 4u, head >= HEADS) + j * 2u;
      own = Eight(own.lo * r * norms[at], own.hi * r * norms[at + 1u]);
    }
  }
  halves[lane] = own;
  workgroupBarrier();
  if (!works) { return; }

  if (turns) {
    let half = lanes / 2u;
    let second = j >= half;
    let other = halves[lane - j + select(j + half, j - half, second)];
    let at = token_position(t) * (HEAD_DIM / 2u) + (j % half) * 8u;
    let a = vec4<f32>(rope[at].x, rope[at + 1u].x, rope[at + 2u].x, rope[at + 3u].x);
    let b = vec4<f32>(rope[at + 4u].x, rope[at + 5u].x, rope[at + 6u].x, rope[at + 7u].x);
    let sign = select(-1.0, 1.0, second);
    let c = sign * vec4<f32>(rope[at].y, rope[at + 1u].y, rope[at + 2u].y, rope[at + 3u].y);
    let d = sign * vec4<f32>(rope[at + 4u].y, rope[at + 5u].y, rope[at + 6u].y, rope[at + 7u].y);
    own = Eight(own.lo * a + other.lo * c, own.hi * b + other.hi * d);
  }
  if (head < HEADS) {
    let to = (t * HEADS + head) * (HEAD_DIM / 4u) + j * 2u;
    q[to] = own.lo;
    q[to + 1u] = own.hi;
    return;
  }
  let position = token_position(t);
  // K heads, then V heads: the block's own order.
  store_kv(t, position / 16u, ((head - HEADS) * 16u + position % 16u) * (HEAD_DIM / 8u) + j, own);
}

// Columns 8 * eight .. + 7 of head `head`, complete but for norm and rope.
fn column(t: u32, head: u32, eight: u32) -> Eight {
  let heads_all = HEADS + 2u * KV_HEADS;
  var part = 0u;
  var first = 0u;
  var heads = HEADS;
  if (head >= HEADS) { part = 1u; first = HEADS; heads = KV_HEADS; }
  if (head >= HEADS + KV_HEADS) { part = 2u; first = HEADS + KV_HEADS; }
  let at = head * (HEAD_DIM / 4u) + eight * 2u;
  let start = t * heads_all * (HEAD_DIM / 4u) + at;
  let eights = HEAD_DIM / 8u;
  var base = Eight(qkv[start], qkv[start + 1u]);
  let plane = step_tokens() * heads_all * (HEAD_DIM / 4u);
  for (var p = 1u; p < step_planes(0u); p++) {
    base = Eight(base.lo + qkv[start + p * plane], base.hi + qkv[start + p * plane + 1u]);
  }
  let y = lora_apply(base, t, t, part, 3u, part, (head - first) * eights + eight, heads * eights);
  if (QKV_BIAS) { return Eight(y.lo + bias[at], y.hi + bias[at + 1u]); }
  return y;
}

fn store_kv(t: u32, block: u32, vec: u32, value: Eight) {
  let page = step[token_table(t) + block * PAGES_PER_BLOCK + vec / PAGE_VECS];
  pool_store(page, vec % PAGE_VECS, pack_activation(value));
}
