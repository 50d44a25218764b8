// out[t, h] = softmax_k(q[t, h] . K[k] / sqrt(HEAD_DIM)) V   for every token t of tile i, at position p,
// over the keys k of its sequence with k <= p and, if WINDOW > 0, k > p - WINDOW; all of them are in the pages.
// HEAD_DIM: header. A tile is up to 64 tokens of one sequence at consecutive positions. Its rows, for one kv head, are the pairs
// (token, q head that shares the kv head), token by token; a workgroup takes 64 of them, 64 keys at a time:
// scores = q K^T with slices of 64 columns in workgroup memory, then o += exp(scores - m) V, 64 columns at a time.
// Both are the same product of two 64 x 64 tiles, of which each of 8 x 16 invocations has 8 rows x 4 columns:
// rows 4 ty .. 4 ty + 3 and 32 + 4 ty .. 32 + 4 ty + 3, columns 4 tx .. 4 tx + 3.
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
// What is summed over, k, comes first, sixteen at a time, so that the first index is a literal in the text: index k
// lies in [k % 16][k / 16 * 16 ..]. Of `left` four rows lie at their number ^ swap(k) there: weights are stored by
// invocations whose k differ, and would share a bank.
var<workgroup> left: array<array<vec4<f32>, 64>, 16>;  // [column of q][4 rows], then [key][4 rows] weights
var<workgroup> right: array<array<vec4<f32>, 64>, 16>; // [column of K][4 keys], then [key][4 columns of V]
fn swap(k: u32) -> u32 { return (k / 4u) % 4u; }
fn put_left(k: u32, four: u32, rows: vec4<f32>) { left[k % 16u][k / 16u * 16u + (four ^ swap(k))] = rows; }
fn put_right(k: u32, four: u32, columns: vec4<f32>) { right[k % 16u][k / 16u * 16u + four] = columns; }

// 4 rows x 4 columns; a vec4 is a row.
struct Block { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32> }
struct Sums { lo: Block, hi: Block }
struct Rows { lo: vec4<f32>, hi: vec4<f32> } // a number for each of the eight rows
struct Quad { a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32> }

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let tile = grid.z - 1u - wid.z; // the last tokens see the most keys: they go first
  let kv_head = wid.x;
  let group = HEADS / KV_HEADS;
  let first_row = wid.y * 64u;
  let rows = prefill_tile_count(tile) * group;
  if (first_row >= rows) { return; }
  let token = prefill_tile_first(tile);
  let position = token_position(token);
  let oldest = position + first_row / group;
  let past = position + (min(first_row + 64u, rows) - 1u) / group + 1u; // past the last key seen
  var first = 0u;                                                      // the first key seen
  if (WINDOW > 0u && oldest + 1u > WINDOW) { first = oldest + 1u - WINDOW; }
  let keys = Keys(token_table(token), kv_head, first, past);

  // A warp has 4 x 8 of the 8 x 16 invocations: fewer different vectors for each of its loads.
  let tx = lane % 8u + (lane / 32u) % 2u * 8u;
  let ty = (lane / 8u) % 4u + lane / 64u * 4u;
  // Rows past the end do the last row's work again and write nothing.
  let row = vec4<u32>(first_row + ty * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
  let low = vec4<u32>(position) + min(row, vec4<u32>(rows - 1u)) / group;
  let high = vec4<u32>(position) + min(row + 32u, vec4<u32>(rows - 1u)) / group;
  // Of q, an invocation stages four rows, eight columns.
  let staged = min(vec4<u32>(first_row + lane % 16u * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(rows - 1u));
  let q_rows = ((vec4<u32>(token) + staged / group) * HEADS + kv_head * group + staged % group) * (HEAD_DIM / 4u);

  var m = Rows(vec4<f32>(LOWEST), vec4<f32>(LOWEST));
  var l = Rows(vec4<f32>(), vec4<f32>());
  let none = Block(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());
  var o0 = Sums(none, none); // columns 0 .. 63
  var o1 = o0;
  var o2 = o0;
  var o3 = o0;
  let start = first - first % 16u;
  var pages = pages_of(keys, start);
  for (var base = start; base < past; base = base + 64u) {
    var s = Sums(none, none);
    for (var column = 0u; column < HEAD_DIM; column = column + 64u) {
      let k = load_keys(keys, pages, base, column, lane);
      let q_lo = load_q(q_rows, column + lane / 16u * 8u);
      workgroupBarrier();
      stage_keys(k, lane);
      stage_rows(q_lo, lane / 16u * 8u, lane % 16u);
      stage_rows(load_q(q_rows, column + lane / 16u * 8u + 4u), lane / 16u * 8u + 4u, lane % 16u);
      workgroupBarrier();
      s = multiply(s, ty, tx);
    }
    var v = load_values(keys, pages, base, 0u, lane);
    if (base + 63u > oldest || WINDOW > 0u) {
      let at = vec4<u32>(base + tx * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
      s = Sums(masked(s.lo, low, at), masked(s.hi, high, at));
    }

    workgroupBarrier();
    right[tx][ty ^ (tx % 8u)] = largest(s.lo);
    right[tx][(8u + ty) ^ (tx % 8u)] = largest(s.hi);
    workgroupBarrier();
    let top = Rows(max(m.lo, top_of(ty)), max(m.hi, top_of(8u + ty)));
    let shrink = Rows(exp(m.lo - top.lo), exp(m.hi - top.hi));
    m = top;
    // A row that has seen no key yet has weights of 1 here; its first key shrinks them to 0.
    s = Sums(weights(s.lo, m.lo), weights(s.hi, m.hi));
    l = Rows(fma(l.lo, shrink.lo, totals(s.lo)), fma(l.hi, shrink.hi, totals(s.hi)));
    workgroupBarrier();
    stage_rows(s.lo, tx * 4u, ty);
    stage_rows(s.hi, tx * 4u, 8u + ty);
    stage_values(v, lane);
    workgroupBarrier();
    if (HEAD_DIM > 64u) { v = load_values(keys, pages, base, 64u, lane); }
    o0 = multiply(shrunk(o0, shrink), ty, tx);
    if (HEAD_DIM > 64u) {
      workgroupBarrier();
      stage_values(v, lane);
      workgroupBarrier();
      o1 = multiply(shrunk(o1, shrink), ty, tx);
    }
    if (HEAD_DIM > 128u) {
      v = load_values(keys, pages, base, 128u, lane);
      workgroupBarrier();
      stage_values(v, lane);
      workgroupBarrier();
      o2 = multiply(shrunk(o2, shrink), ty, tx);
    }
    if (HEAD_DIM > 192u) {
      v = load_values(keys, pages, base, 192u, lane);
      workgroupBarrier();
      stage_values(v, lane);
      workgroupBarrier();
      o3 = multiply(shrunk(o3, shrink), ty, tx);
    }
    pages = pages_of(keys, base + 64u);
  }

  workgroupBarrier();
  right[tx][ty ^ (tx % 8u)] = l.lo;
  right[tx][(8u + ty) ^ (tx % 8u)] = l.hi;
  workgroupBarrier();
  let l_lo = total_of(ty);
  let l_hi = total_of(8u + ty);
  let end = min(rows, first_row + 64u);
  let heads = token * HEADS + kv_head * group;
  store(heads, row, end, tx, o0, l_lo, l_hi);
  if (HEAD_DIM > 64u) { store(heads, row, end, 16u + tx, o1, l_lo, l_hi); }
  if (HEAD_DIM > 128u) { store(heads, row, end, 32u + tx, o2, l_lo, l_hi); }
  if (HEAD_DIM > 192u) { store(heads, row, end, 48u + tx, o3, l_lo, l_hi); }
}

// sums += left^T right, sixteen in the text, for a loop carries a counter that the compiler adds to bound it.
fn multiply(sums: Sums, ty: u32, tx: u32) -> Sums {
  var s = sums;
  for (var at = 0u; at < 64u; at = at + 16u) {
    s = outer_product(s, 0u, at + ty, at + tx);
    s = outer_product(s, 1u, at + ty, at + tx);
    s = outer_product(s, 2u, at + ty, at + tx);
    s = outer_product(s, 3u, at + ty, at + tx);
    s = outer_product(s, 4u, at + ty, at + tx);
    s = outer_product(s, 5u, at + ty, at + tx);
    s = outer_product(s, 6u, at + ty, at + tx);
    s = outer_product(s, 7u, at + ty, at + tx);
    s = outer_product(s, 8u, at + ty, at + tx);
    s = outer_product(s, 9u, at + ty, at + tx);
    s = outer_product(s, 10u, at + ty, at + tx);
    s = outer_product(s, 11u, at + ty, at + tx);
    s = outer_product(s, 12u, at + ty, at + tx);
    s = outer_product(s, 13u, at + ty, at + tx);
    s = outer_product(s, 14u, at + ty, at + tx);
    s = outer_product(s, 15u, at + ty, at + tx);
  }
  return s;
}
fn outer_product(s: Sums, k: u32, row: u32, column: u32) -> Sums {
  let lo = left[k][row ^ swap(k)];
  let hi = left[k][(row + 8u) ^ swap(k)];
  let b = right[k][column];
  return Sums(outer(s.lo, lo, b), outer(s.hi, hi, b));
}
fn outer(sum: Block, a: vec4<f32>, b: vec4<f32>) -> Block {
  return Block(
    fma(vec4<f32>(a.x), b, sum.r0),
    fma(vec4<f32>(a.y), b, sum.r1),
    fma(vec4<f32>(a.z), b, sum.r2),
    fma(vec4<f32>(a.w), b, sum.r3),
  );
}

// Pages of the 64 keys' four blocks.
fn pages_of(keys: Keys, base: u32) -> vec4<u32> {
  return vec4<u32>(
    tile_page(keys, base), tile_page(keys, base + 16u), tile_page(keys, base + 32u), tile_page(keys, base + 48u),
  );
}

// Of K^T an invocation stages eight columns of four keys, of V eight columns of keys 16 apart; zeros past HEAD_DIM.
fn load_keys(keys: Keys, pages: vec4<u32>, base: u32, column: u32, lane: u32) -> Quad {
  let eight = column / 8u + lane / 16u;
  if (eight >= HEAD_DIM / 8u) { return Quad(vec4<u32>(), vec4<u32>(), vec4<u32>(), vec4<u32>()); }
  let at = base + lane % 16u * 4u;
  let page = pages[lane % 16u / 4u];
  return Quad(
    tile_load(keys, page, at, keys.kv_head, eight), tile_load(keys, page, at + 1u, keys.kv_head, eight),
    tile_load(keys, page, at + 2u, keys.kv_head, eight), tile_load(keys, page, at + 3u, keys.kv_head, eight),
  );
}
fn load_values(keys: Keys, pages: vec4<u32>, base: u32, column: u32, lane: u32) -> Quad {
  let eight = column / 8u + lane % 8u;
  if (eight >= HEAD_DIM / 8u) { return Quad(vec4<u32>(), vec4<u32>(), vec4<u32>(), vec4<u32>()); }
  let at = base + lane / 8u;
  let head = KV_HEADS + keys.kv_head;
  return Quad(
    tile_load(keys, pages.x, at, head, eight), tile_load(keys, pages.y, at + 16u, head, eight),
    tile_load(keys, pages.z, at + 32u, head, eight), tile_load(keys, pages.w, at + 48u, head, eight),
  );
}
// Four columns of four rows, scaled.
fn load_q(rows: vec4<u32>, column: u32) -> Block {
  if (column >= HEAD_DIM) { return Block(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>()); }
  let at = rows + column / 4u;
  let scale = inverseSqrt(f32(HEAD_DIM));
  return Block(q[at.x] * scale, q[at.y] * scale, q[at.z] * scale, q[at.w] * scale);
}

fn transposed(b: Block) -> Block {
  return Block(
    vec4<f32>(b.r0.x, b.r1.x, b.r2.x, b.r3.x), vec4<f32>(b.r0.y, b.r1.y, b.r2.y, b.r3.y),
    vec4<f32>(b.r0.z, b.r1.z, b.r2.z, b.r3.z), vec4<f32>(b.r0.w, b.r1.w, b.r2.w, b.r3.w),
  );
}
fn stage_keys(load: Quad, lane: u32) {
  let a = unpack_f16(load.a);
  let b = unpack_f16(load.b);
  let c = unpack_f16(load.c);
  let d = unpack_f16(load.d);
  let lo = transposed(Block(a.lo, b.lo, c.lo, d.lo));
  let hi = transposed(Block(a.hi, b.hi, c.hi, d.hi));
  let column = lane / 16u * 8u;
  let at = lane % 16u;
  put_right(column, at, lo.r0);
  put_right(column + 1u, at, lo.r1);
  put_right(column + 2u, at, lo.r2);
  put_right(column + 3u, at, lo.r3);
  put_right(column + 4u, at, hi.r0);
  put_right(column + 5u, at, hi.r1);
  put_right(column + 6u, at, hi.r2);
  put_right(column + 7u, at, hi.r3);
}
fn stage_rows(rows: Block, column: u32, four: u32) {
  let columns = transposed(rows);
  put_left(column, four, columns.r0);
  put_left(column + 1u, four, columns.r1);
  put_left(column + 2u, four, columns.r2);
  put_left(column + 3u, four, columns.r3);
}
fn stage_values(load: Quad, lane: u32) {
  stage_value(unpack_f16(load.a), lane / 8u, lane % 8u * 2u);
  stage_value(unpack_f16(load.b), lane / 8u + 16u, lane % 8u * 2u);
  stage_value(unpack_f16(load.c), lane / 8u + 32u, lane % 8u * 2u);
  stage_value(unpack_f16(load.d), lane / 8u + 48u, lane % 8u * 2u);
}
fn stage_value(value: Eight, key: u32, four: u32) {
  put_right(key, four, value.lo);
  put_right(key, four + 1u, value.hi);
}
fn masked(s: Block, positions: vec4<u32>, keys: vec4<u32>) -> Block {
  return Block(
    seen(s.r0, positions.x, keys), seen(s.r1, positions.y, keys),
    seen(s.r2, positions.z, keys), seen(s.r3, positions.w, keys),
  );
}
fn seen(s: vec4<f32>, position: u32, keys: vec4<u32>) -> vec4<f32> {
  let causal = select(vec4<f32>(LOWEST), s, keys <= vec4<u32>(position));
  if (WINDOW == 0u) { return causal; }
  return select(vec4<f32>(LOWEST), causal, keys + WINDOW > vec4<u32>(position));
}

// Of each of four rows: the largest of its four numbers, exp(number - m), and the sum.
fn largest(s: Block) -> vec4<f32> {
  let t = transposed(s);
  return max(max(t.r0, t.r1), max(t.r2, t.r3));
}
fn weights(s: Block, m: vec4<f32>) -> Block {
  return Block(exp(s.r0 - m.x), exp(s.r1 - m.y), exp(s.r2 - m.z), exp(s.r3 - m.w));
}
fn totals(s: Block) -> vec4<f32> {
  let t = transposed(s);
  return (t.r0 + t.r1) + (t.r2 + t.r3);
}
fn shrunk(o: Sums, by: Rows) -> Sums {
  return Sums(
    Block(o.lo.r0 * by.lo.x, o.lo.r1 * by.lo.y, o.lo.r2 * by.lo.z, o.lo.r3 * by.lo.w),
    Block(o.hi.r0 * by.hi.x, o.hi.r1 * by.hi.y, o.hi.r2 * by.hi.z, o.hi.r3 * by.hi.w),
  );
}

// The largest, and the sum, of what the 16 invocations of four rows have put into `right`.
fn top_of(four: u32) -> vec4<f32> {
  let a = max(max(right[0][four], right[1][four ^ 1u]), max(right[2][four ^ 2u], right[3][four ^ 3u]));
  let b = max(max(right[4][four ^ 4u], right[5][four ^ 5u]), max(right[6][four ^ 6u], right[7][four ^ 7u]));
  let c = max(max(right[8][four], right[9][four ^ 1u]), max(right[10][four ^ 2u], right[11][four ^ 3u]));
  let d = max(max(right[12][four ^ 4u], right[13][four ^ 5u]), max(right[14][four ^ 6u], right[15][four ^ 7u]));
  return max(max(a, b), max(c, d));
}
fn total_of(four: u32) -> vec4<f32> {
  let a = (right[0][four] + right[1][four ^ 1u]) + (right[2][four ^ 2u] + right[3][four ^ 3u]);
  let b = (right[4][four ^ 4u] + right[5][four ^ 5u]) + (right[6][four ^ 6u] + right[7][four ^ 7u]);
  let c = (right[8][four] + right[9][four ^ 1u]) + (right[10][four ^ 2u] + right[11][four ^ 3u]);
  let d = (right[12][four ^ 4u] + right[13][four ^ 5u]) + (right[14][four ^ 6u] + right[15][four ^ 7u]);
  return (a + b) + (c + d);
}

// Four columns (number `four`) of the eight rows from row.x and row.x + 32 on.
fn store(heads: u32, row: vec4<u32>, end: u32, four: u32, o: Sums, l_lo: vec4<f32>, l_hi: vec4<f32>) {
  if (four >= HEAD_DIM / 4u) { return; }
  store_row(heads, row.x, end, four, o.lo.r0 / l_lo.x);
  store_row(heads, row.y, end, four, o.lo.r1 / l_lo.y);
  store_row(heads, row.z, end, four, o.lo.r2 / l_lo.z);
  store_row(heads, row.w, end, four, o.lo.r3 / l_lo.w);
  store_row(heads, row.x + 32u, end, four, o.hi.r0 / l_hi.x);
  store_row(heads, row.y + 32u, end, four, o.hi.r1 / l_hi.y);
  store_row(heads, row.z + 32u, end, four, o.hi.r2 / l_hi.z);
  store_row(heads, row.w + 32u, end, four, o.hi.r3 / l_hi.w);
}
fn store_row(heads: u32, row: u32, end: u32, four: u32, mean: vec4<f32>) {
  if (row >= end) { return; }
  let group = HEADS / KV_HEADS;
  let most = vec4<f32>(65504.0);
  let o = clamp(mean, -most, most);
  let at = (heads + row / group * HEADS + row % group) * (HEAD_DIM / 4u) + four;
  out[at] = vec2<u32>(pack2x16float(o.xy), pack2x16float(o.zw));
}
