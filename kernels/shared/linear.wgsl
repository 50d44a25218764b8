// What every projection binds, and how it reads its rows and weights: y[r, n] = sum_k x[row(r), k] * W[n, k].
// W is [OUT][IN] in 16 bits, or in int8 with one f32 scale an output behind it [OUT]; x [T][IN] f16: half the bytes to
// read, and what matrix units take. Needs: step.wgsl, unpack.wgsl.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> pool0: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> pool1: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // [rows][OUT]
@group(0) @binding(6) var<storage, read_write> u: array<f32>; // [rows][K][MODULES][256]
override IN: u32;
override OUT: u32;          // IN a multiple of 8, of 16 in int8
override DTYPE: u32;        // of W: F16, BF16 or INT8
override MODULES: u32;      // adapted modules fused in W: 3 for q,k,v, 2 for gate,up, else 1
override FIRST_MODULE: u32;
override HEAD_POOL: bool;   // the lm_head: rows of logits, images of the head pool

const F16: u32 = 0u;
const BF16: u32 = 1u;
const INT8: u32 = 2u;

fn row_count() -> u32 {
  if (HEAD_POOL) { return step_logit_rows(); }
  return step_tokens();
}

fn x_row(r: u32) -> u32 {
  if (HEAD_POOL) { return logit_token(r); }
  return r;
}

// Eight columns of a row of x from column 8 * k8 on.
fn x_bits(row: u32, k8: u32) -> vec4<u32> { return x[row * (IN / 8u) + k8]; }
fn x_eight(row: u32, k8: u32) -> Eight { return unpack_f16(x_bits(row, k8)); }

// The same where k8 may lie past the last column: x is 0 there.
fn padded_x_bits(row: u32, k8: u32) -> vec4<u32> {
  if (k8 >= IN / 8u) { return vec4<u32>(); }
  return x_bits(row, k8);
}

// Eights of weights in the 16 bytes that one load brings.
fn piece_eights() -> u32 { return select(1u, 2u, DTYPE == INT8); }

// Piece `piece` of output n's weights; an output past the last repeats it.
fn weight_piece(n: u32, piece: u32) -> vec4<u32> {
  return w[min(n, OUT - 1u) * (IN / 8u / piece_eights()) + piece];
}

// Eight number `i` of a piece, for `widen`: in int8 two words of it.
fn piece_eight(piece: vec4<u32>, i: u32) -> vec4<u32> {
  if (DTYPE == INT8) { return vec4<u32>(select(piece.xy, piece.zw, i == 1u), 0u, 0u); }
  return piece;
}

// Eight weights of output n as they are stored.
fn weight_bits(n: u32, k8: u32) -> vec4<u32> {
  return piece_eight(weight_piece(n, k8 / piece_eights()), k8 % piece_eights());
}

// The same where k8 may lie past the last column: weights there are 0.
fn padded_weight_bits(n: u32, k8: u32) -> vec4<u32> {
  if (k8 >= IN / 8u) { return vec4<u32>(); }
  return weight_bits(n, k8);
}

// In int8 without the scale, which belongs to the sum.
fn widen(bits: vec4<u32>) -> Eight {
  if (DTYPE == INT8) { return Eight(unpack_i8(bits.x), unpack_i8(bits.y)); }
  if (DTYPE == BF16) { return unpack_bf16(bits); }
  return unpack_f16(bits);
}

// A sum over output n's stored weights, as y has it.
fn scaled(n: u32, sum: f32) -> f32 {
  if (DTYPE == INT8) { return sum * bitcast<f32>(w[OUT * (IN / 16u) + n / 4u][n % 4u]); }
  return sum;
}

// Four outputs of row r from output n on, those of them that there are.
fn store_y(r: u32, n: u32, value: vec4<f32>) {
  #for i in 4
  if (n + {i}u < OUT) { y[r * OUT + n + {i}u] = scaled(n + {i}u, value[{i}]); }
  #end
}
