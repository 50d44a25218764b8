enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
// out[t, h] = softmax_k(q[t, h] . K[k] / sqrt(HEAD_DIM)) V   over the keys that attention_prefill sees, on matrix
// units: MATRIX x MATRIX x MATRIX products of f16, summed in f32. q and the weights are each given as a half and a
// second one for what the first leaves off: rounded to one, they take the goldens' worst logits past their bar.
// A workgroup takes 64 rows (token, q head) of one kv head, a subgroup MATRIX of them, KEYS keys at a time. Scores go
// through workgroup memory, where LANES_A_ROW lanes share a row, PART keys each, and leave their weights in place.
// A weight is 2^(score - m). Sums in matrices cannot be scaled there, so m is not always the row's largest score: it
// is raised, and the sums are scaled in workgroup memory, when a score has outgrown it by GROWTH, which is rare.
// MATRIX, SUBGROUP, HEAD_DIM, KEYS: header. Loops over matrices are written out: in an array they would live in memory.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;  // [T][HEADS][HEAD_DIM]
@group(0) @binding(2) var<storage, read> pool0: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> pool1: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec2<u32>>; // [T][HEADS * HEAD_DIM] f16
override HEADS: u32;
override KV_HEADS: u32;
override WINDOW: u32;
override PAGES_PER_BLOCK: u32;

const LOWEST: f32 = -3.0e38;
const UNSEEN: f32 = -1.0e30; // m of a row that has seen no key: far above LOWEST, so that masked weights are 0
const GROWTH: f32 = 8.0;     // weights stay below 2^8
const ROWS: u32 = 64u;
const THREADS: u32 = ROWS / MATRIX * SUBGROUP;
const LANES_A_ROW: u32 = SUBGROUP / MATRIX;
const PART: u32 = KEYS / LANES_A_ROW;
const COLUMNS: u32 = MATRIX / 8u;  // vectors of 8 columns a matrix
const EIGHTS: u32 = (HEAD_DIM + MATRIX - 1u) / MATRIX * COLUMNS;
const STRIDE: u32 = EIGHTS + 1u;   // padded, so that rows start on different banks
const SCORE_STRIDE: u32 = KEYS / 4u + 1u;
const SCORES: u32 = KEYS * STRIDE;

// [KEYS][STRIDE] of 8 halves of keys, then of values; behind them [ROWS][SCORE_STRIDE] of 4 scores. Before the first
// key: q, [ROWS][STRIDE]. One array for all: memory limits how many workgroups a processor holds.
var<workgroup> staged: array<vec4<u32>, max(SCORES + ROWS * SCORE_STRIDE, ROWS * STRIDE)>;
var<workgroup> outgrown: atomic<u32>;

alias Left = subgroup_matrix_left<f16, MATRIX, MATRIX>;
alias Right = subgroup_matrix_right<f16, MATRIX, MATRIX>;
alias Sum = subgroup_matrix_result<f32, MATRIX, MATRIX>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_invocation_id) sublane: u32,
) {
  let tile = grid.z - 1u - wid.z; // the last tokens see the most keys: they go first
  let kv_head = wid.x;
  let group = HEADS / KV_HEADS;
  let first_row = wid.y * ROWS;
  let rows = prefill_tile_count(tile) * group;
  if (first_row >= rows) { return; }
  let token = prefill_tile_first(tile);
  let position = token_position(token);
  let oldest = position + first_row / group;
  let past = position + (min(first_row + ROWS, rows) - 1u) / group + 1u; // past the last key seen
  var first = 0u;                                                       // the first key seen
  if (WINDOW > 0u && oldest + 1u > WINDOW) { first = oldest + 1u - WINDOW; }
  let keys = Keys(token_table(token), kv_head, first, past);
  let heads = token * HEADS + kv_head * group; // row r is head (heads + r / group * HEADS + r % group)

  let start = first - first % 16u;
  #for i in LOADS
  let key{i} = (lane + {i}u * THREADS) / EIGHTS;
  let eight{i} = (lane + {i}u * THREADS) % EIGHTS;
  var page{i} = tile_page(keys, start + key{i});
  var next{i} = tile_eight(keys, page{i}, start + key{i}, kv_head, eight{i});
  #end

  let row0 = lane / SUBGROUP * MATRIX; // the subgroup's first row
  #for h in 2
  for (var i = lane; i < ROWS * EIGHTS; i += THREADS) {
    // Rows past the end do the last row's work again and write nothing.
    let row = min(first_row + i / EIGHTS, rows - 1u);
    let head = heads + row / group * HEADS + row % group;
    staged[i / EIGHTS * STRIDE + i % EIGHTS] = q_half(head, i % EIGHTS, {h}u);
  }
  workgroupBarrier();
  #for c in COLUMN_BLOCKS
  let q{h}_{c} = subgroupMatrixLoad<Left, row_major>(&staged, row0 * STRIDE + {c}u * COLUMNS, STRIDE);
  #end
  workgroupBarrier();
  #end
  #for c in COLUMN_BLOCKS
  var o{c} = Sum();
  #end

  let own_row = row0 + sublane / LANES_A_ROW;
  let part = sublane % LANES_A_ROW;
  let own_position = position + min(first_row + own_row, rows - 1u) / group;
  let own_scores = SCORES + own_row * SCORE_STRIDE;
  let own_part = own_scores + part * (PART / 4u);
  let scores = SCORES + row0 * SCORE_STRIDE;
  var m = UNSEEN;
  var l = 0.0;
  for (var base = start; base < past; base += KEYS) {
    workgroupBarrier();
    #for i in LOADS
    stage(key{i}, eight{i}, next{i});
    #end
    if (lane == 0u) { atomicStore(&outgrown, 0u); }
    workgroupBarrier();
    #for i in LOADS
    next{i} = tile_eight(keys, page{i}, base + key{i}, KV_HEADS + kv_head, eight{i});
    page{i} = tile_page(keys, base + KEYS + key{i});
    #end
    #for j in KEY_BLOCKS
    {
      var s = Sum(); // without a value it would keep that of the last turn
      #for c in COLUMN_BLOCKS
      let k{c} = subgroupMatrixLoad<Right, col_major>(&staged, {j}u * MATRIX * STRIDE + {c}u * COLUMNS, STRIDE);
      s = subgroupMatrixMultiplyAccumulate(q0_{c}, k{c}, s);
      s = subgroupMatrixMultiplyAccumulate(q1_{c}, k{c}, s);
      #end
      subgroupMatrixStore<row_major>(&staged, scores + {j}u * (MATRIX / 4u), s, SCORE_STRIDE);
    }
    #end
    workgroupBarrier();

    #for i in LOADS
    stage(key{i}, eight{i}, next{i});
    next{i} = tile_eight(keys, page{i}, base + KEYS + key{i}, kv_head, eight{i});
    #end
    #for i in PART_EIGHTS
    var lo{i} = bitcast<vec4<f32>>(staged[own_part + {i}u * 2u]);
    var hi{i} = bitcast<vec4<f32>>(staged[own_part + {i}u * 2u + 1u]);
    #end
    if (base + KEYS - 1u > oldest || WINDOW > 0u) {
      let at = vec4<u32>(base + part * PART) + vec4<u32>(0u, 1u, 2u, 3u);
      #for i in PART_EIGHTS
      lo{i} = seen(lo{i}, own_position, at + {i}u * 8u);
      hi{i} = seen(hi{i}, own_position, at + ({i}u * 8u + 4u));
      #end
    }
    var tops = vec4<f32>(LOWEST);
    #for i in PART_EIGHTS
    tops = max(tops, max(lo{i}, hi{i}));
    #end
    var top = max(max(tops.x, tops.y), max(tops.z, tops.w));
    #for b in ROW_BITS
    top = max(top, subgroupShuffleXor(top, 1u << {b}u));
    #end
    var shrink = 1.0;
    if (top > m + GROWTH) {
      shrink = exp2(m - top);
      m = top;
      if (l > 0.0) { atomicStore(&outgrown, 1u); } // else there is nothing to scale
    }
    var sums = vec4<f32>();
    #for i in PART_EIGHTS
    lo{i} = exp2(lo{i} - m);
    hi{i} = exp2(hi{i} - m);
    sums += lo{i} + hi{i};
    // Over scores that this lane has read.
    staged[own_part + {i}u] = half_of(Eight(lo{i}, hi{i}), 0u);
    staged[own_part + PART / 8u + {i}u] = half_of(Eight(lo{i}, hi{i}), 1u);
    #end
    var sum = (sums.x + sums.y) + (sums.z + sums.w);
    #for b in ROW_BITS
    sum += subgroupShuffleXor(sum, 1u << {b}u);
    #end
    l = fma(l, shrink, sum);

    let scale = workgroupUniformLoad(&outgrown) == 1u; // a barrier, too
    #for j in KEY_BLOCKS
    let weights{j} = scores + {j}u * MATRIX / PART * (PART / 4u) + {j}u * MATRIX % PART / 8u;
    let p0_{j} = subgroupMatrixLoad<Left, row_major>(&staged, weights{j}, SCORE_STRIDE);
    let p1_{j} = subgroupMatrixLoad<Left, row_major>(&staged, weights{j} + PART / 8u, SCORE_STRIDE);
    #end
    if (scale) {
      #for c in COLUMN_BLOCKS
      workgroupBarrier();
      subgroupMatrixStore<row_major>(&staged, scores, o{c}, SCORE_STRIDE);
      workgroupBarrier();
      for (var i = own_scores + part; i < own_scores + MATRIX / 4u; i += LANES_A_ROW) {
        staged[i] = bitcast<vec4<u32>>(shrink * bitcast<vec4<f32>>(staged[i]));
      }
      workgroupBarrier();
      o{c} = subgroupMatrixLoad<Sum, row_major>(&staged, scores, SCORE_STRIDE);
      #end
    }
    #for c in COLUMN_BLOCKS
    #for j in KEY_BLOCKS
    let v{c}_{j} = subgroupMatrixLoad<Right, row_major>(&staged, {j}u * MATRIX * STRIDE + {c}u * COLUMNS, STRIDE);
    o{c} = subgroupMatrixMultiplyAccumulate(p0_{j}, v{c}_{j}, o{c});
    o{c} = subgroupMatrixMultiplyAccumulate(p1_{j}, v{c}_{j}, o{c});
    #end
    #end
  }

  let row = first_row + own_row;
  let at = (heads + row / group * HEADS + row % group) * (HEAD_DIM / 4u);
  #for c in COLUMN_BLOCKS
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&staged, scores, o{c}, SCORE_STRIDE);
  workgroupBarrier();
  for (var i = part; i < MATRIX / 4u; i += LANES_A_ROW) {
    let four = {c}u * (MATRIX / 4u) + i;
    let o = clamped(bitcast<vec4<f32>>(staged[own_scores + i]) / l);
    if (row < rows && four < HEAD_DIM / 4u) { out[at + four] = vec2<u32>(pack2x16float(o.xy), pack2x16float(o.zw)); }
  }
  #end
}

// Zeros past HEAD_DIM, whose columns fill up the last matrix.
fn tile_eight(keys: Keys, page: u32, position: u32, head: u32, eight: u32) -> vec4<u32> {
  if (eight >= HEAD_DIM / 8u) { return vec4<u32>(); }
  return tile_load(keys, page, position, head, eight);
}
fn stage(key: u32, eight: u32, bits: vec4<u32>) {
  if (KEYS * EIGHTS % THREADS == 0u || key < KEYS) { staged[key * STRIDE + eight] = bits; }
}
// The leading bits of eight numbers (0) or the rest (1), as halves. By a mask: compilers take converting to a half and
// back for doing nothing, and then nothing would be left for the rest.
fn half_of(e: Eight, half: u32) -> vec4<u32> {
  let leading = Eight(leading_bits(e.lo), leading_bits(e.hi));
  if (half == 0u) { return pack_f16(leading); }
  return pack_f16(Eight(e.lo - leading.lo, e.hi - leading.hi));
}
fn leading_bits(v: vec4<f32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(bitcast<vec4<u32>>(v) & vec4<u32>(0xffffe000u));
}
fn clamped(v: vec4<f32>) -> vec4<f32> {
  let most = vec4<f32>(65504.0);
  return clamp(v, -most, most);
}
// Scaled such that scores are exponents of 2.
fn q_half(head: u32, eight: u32, half: u32) -> vec4<u32> {
  if (eight >= HEAD_DIM / 8u) { return vec4<u32>(); }
  let at = head * (HEAD_DIM / 4u) + eight * 2u;
  let scale = inverseSqrt(f32(HEAD_DIM)) * 1.4426950408889634;
  return half_of(Eight(clamped(q[at] * scale), clamped(q[at + 1u] * scale)), half);
}
fn seen(score: vec4<f32>, position: u32, keys: vec4<u32>) -> vec4<f32> {
  let causal = select(vec4<f32>(LOWEST), score, keys <= vec4<u32>(position));
  if (WINDOW == 0u) { return causal; }
  return select(vec4<f32>(LOWEST), causal, keys + WINDOW > vec4<u32>(position));
}
