enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
// y[r, n] = sum_k x[row(r), k] * W[n, k]   on matrix units: MATRIX x MATRIX x MATRIX products of f16,
// summed in f32.
// One workgroup: TILE_ROWS rows x TILE_OUTS outputs, k in slices of SLICE staged in workgroup memory as f16 (int8 is
// exact, bf16 down to 2^-14), the next AHEAD slices loaded while this one is multiplied.
// SPLIT workgroups share a tile's k: narrow outputs make too few tiles to keep enough loads under way.
// ROW_GROUPS x OUT_GROUPS subgroups of SUBGROUP lanes share the tile; K_GROUPS such sets share the columns of a slice.
// The same dispatch carries LoRA's shrink (shared/lora_shrink_wide.wgsl).
// Capitals above: header; a lane stages at most X_LOADS and W_LOADS vectors, and those past the tile are none.
// Loops over a lane's matrices are written out: in an array they would live in memory.
const ROWS: u32 = TILE_ROWS;
const SUBGROUPS: u32 = ROW_GROUPS * OUT_GROUPS * K_GROUPS;
const THREADS: u32 = SUBGROUP * SUBGROUPS;
const ROW_BLOCKS: u32 = TILE_ROWS / ROW_GROUPS / MATRIX;
const OUT_BLOCKS: u32 = TILE_OUTS / OUT_GROUPS / MATRIX;
const EIGHTS: u32 = SLICE / 8u;       // vectors of 8 columns a row of a slice
const STRIDE: u32 = EIGHTS + 1u;      // padded, so that rows start on different banks
const X_VECS: u32 = TILE_ROWS * EIGHTS;
const W_VECS: u32 = TILE_OUTS * EIGHTS;

// [row, then output][STRIDE] of 8 halves; at the end a block of sums for each subgroup, four to a vector.
// One array for both: workgroup memory is what limits how many workgroups a processor holds.
const STAGED: u32 = (TILE_ROWS + TILE_OUTS) * STRIDE;
const WS: u32 = TILE_ROWS * STRIDE;
const SUMS: u32 = MATRIX * MATRIX / 4u;
var<workgroup> staged: array<vec4<u32>, max(max(STAGED, SUBGROUPS * SUMS), THREADS * RANKS)>;

alias Left = subgroup_matrix_left<f16, MATRIX, MATRIX>;
alias Right = subgroup_matrix_right<f16, MATRIX, MATRIX>;
alias Sum = subgroup_matrix_result<f32, MATRIX, MATRIX>;

fn half_bits(bits: vec4<u32>) -> vec4<u32> {
  if (DTYPE == F16) { return bits; }
  return pack_f16(widen(bits));
}

// The slice from column k on, in vectors; nothing is loaded past the last one, where x and W count as 0.
fn slice_from(k: u32, end: u32) -> u32 { return select(IN, k, k < end) / 8u; }

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row_tiles = (row_count() + TILE_ROWS - 1u) / TILE_ROWS;
  let base_work = ((OUT + TILE_OUTS - 1u) / TILE_OUTS) * row_tiles;
  // The shrink comes first: it is all latency, which the rest then hides.
  let flat = wid.y * grid.x + wid.x;
  let shrinks = shrink_workgroups();
  if (flat < shrinks) {
    lora_shrink(flat, lane);
    return;
  }
  let split_work = flat - shrinks;
  if (split_work >= base_work * SPLIT) { return; }
  let plane = split_work % SPLIT;
  let work = split_work / SPLIT;
  let r0 = (work % row_tiles) * TILE_ROWS;
  let n0 = (work / row_tiles) * TILE_OUTS;
  let subgroup = lane / SUBGROUP;
  let k_group = subgroup / (ROW_GROUPS * OUT_GROUPS);
  let row_block = ((subgroup / OUT_GROUPS) % ROW_GROUPS) * ROW_BLOCKS;
  let out_block = (subgroup % OUT_GROUPS) * OUT_BLOCKS;

  #for i in ROW_BLOCKS
  #for j in OUT_BLOCKS
  var sum{i}_{j}: Sum;
  #end
  #end
  let part = (IN + SPLIT * SLICE - 1u) / (SPLIT * SLICE) * SLICE;
  let k_first = plane * part;
  let k_end = min(IN, k_first + part);
  let y0 = plane * row_count() * OUT;
  #for i in X_LOADS
  let x_at{i} = lane + {i}u * THREADS;
  let x_row{i} = x_row(min(r0 + x_at{i} / EIGHTS, row_count() - 1u));
  #end
  #for i in W_LOADS
  let w_at{i} = lane + {i}u * THREADS;
  #end
  #for b in AHEAD
  let first{b} = slice_from(k_first + {b}u * SLICE, k_end);
  #for i in X_LOADS
  var x_next{b}_{i} = padded_x_bits(x_row{i}, first{b} + x_at{i} % EIGHTS);
  #end
  #for i in W_LOADS
  var w_next{b}_{i} = padded_weight_bits(n0 + w_at{i} / EIGHTS, first{b} + w_at{i} % EIGHTS);
  #end
  #end
  for (var k = k_first; k < k_end; k += SLICE * AHEAD) {
    #for b in AHEAD
    workgroupBarrier();
    #for i in X_LOADS
    if (X_VECS % THREADS == 0u || x_at{i} < X_VECS) {
      staged[(x_at{i} / EIGHTS) * STRIDE + x_at{i} % EIGHTS] = x_next{b}_{i};
    }
    #end
    #for i in W_LOADS
    if (W_VECS % THREADS == 0u || w_at{i} < W_VECS) {
      staged[WS + (w_at{i} / EIGHTS) * STRIDE + w_at{i} % EIGHTS] = half_bits(w_next{b}_{i});
    }
    #end
    workgroupBarrier();
    let next{b} = slice_from(k + ({b}u + AHEAD) * SLICE, k_end);
    #for i in X_LOADS
    x_next{b}_{i} = padded_x_bits(x_row{i}, next{b} + x_at{i} % EIGHTS);
    #end
    #for i in W_LOADS
    w_next{b}_{i} = padded_weight_bits(n0 + w_at{i} / EIGHTS, next{b} + w_at{i} % EIGHTS);
    #end
    #for s in STEPS
    {
      let at = ({s}u * K_GROUPS + k_group) * (MATRIX / 8u);
      #for j in OUT_BLOCKS
      let right{j} = subgroupMatrixLoad<Right, col_major>(&staged, WS + (out_block + {j}u) * MATRIX * STRIDE + at, STRIDE);
      #end
      #for i in ROW_BLOCKS
      {
        let left = subgroupMatrixLoad<Left, row_major>(&staged, (row_block + {i}u) * MATRIX * STRIDE + at, STRIDE);
        #for j in OUT_BLOCKS
        sum{i}_{j} = subgroupMatrixMultiplyAccumulate(left, right{j}, sum{i}_{j});
        #end
      }
      #end
    }
    #end
    #end
  }

  let inside = r0 + TILE_ROWS <= row_count() && n0 + TILE_OUTS <= OUT;
  #for i in ROW_BLOCKS
  #for j in OUT_BLOCKS
  {
    let r = r0 + (row_block + {i}u) * MATRIX;
    let n = n0 + (out_block + {j}u) * MATRIX;
    if (K_GROUPS == 1u && inside && DTYPE != INT8) {
      subgroupMatrixStore<row_major>(&y, y0 + r * OUT + n, sum{i}_{j}, OUT);
    } else {
      // Through workgroup memory: sums of the K_GROUPS sets, scales, and no store outside y.
      workgroupBarrier();
      subgroupMatrixStore<row_major>(&staged, subgroup * SUMS, sum{i}_{j}, MATRIX / 4u);
      workgroupBarrier();
      for (var e = lane % SUBGROUP; e < MATRIX * MATRIX && k_group == 0u; e += SUBGROUP) {
        var sum = 0.0;
        for (var g = 0u; g < K_GROUPS; g++) {
          sum += bitcast<f32>(staged[(subgroup + g * ROW_GROUPS * OUT_GROUPS) * SUMS + e / 4u][e % 4u]);
        }
        let row = r + e / MATRIX;
        let out = n + e % MATRIX;
        if (row < row_count() && out < OUT) { y[y0 + row * OUT + out] = scaled(out, sum); }
      }
    }
  }
  #end
  #end
}
