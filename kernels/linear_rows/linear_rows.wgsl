// y[r, n] = sum_k x[row(r), k] * W[n, k]   for few rows (decode): each weight is read and widened once for ROWS rows.
// One workgroup: ROWS rows x GROUPS * OUTS outputs; a group of LANES lanes along k has OUTS outputs. Many lanes along
// k keep enough loads in flight to fill the memory of a large GPU even where OUT is small; fewer spend less on sums.
// The same dispatch carries LoRA's shrink (shared/lora_shrink.wgsl).
// ROWS, OUTS (4 or 8), LANES (8, 32, 64 or 128), GROUPS: header; with ROWS = 1 there must be one row in all.
const THREADS: u32 = LANES * GROUPS;

// Sums over lanes, at most 16 of every lane at a time: [BATCH][THREADS], padded against bank conflicts, of which
// eight invocations a sum make [BATCH][GROUPS][8].
const BATCH_ROWS: u32 = min(ROWS, 16u / OUTS);
const BATCH: u32 = BATCH_ROWS * OUTS;
var<workgroup> lane_sums: array<f32, BATCH * (THREADS + 1u)>;
var<workgroup> parts: array<f32, BATCH * GROUPS * 8u>;

// Reduces what the lanes stored and writes BATCH_ROWS rows from r0 on.
fn finish(lane: u32, r0: u32, n0: u32) {
  workgroupBarrier();
  for (var j = lane; j < BATCH * GROUPS * 8u; j = j + THREADS) {
    let group = (j / 8u) % GROUPS;
    let at = (j / (8u * GROUPS)) * (THREADS + 1u) + group * LANES + j % 8u;
    var sum = lane_sums[at];
    for (var i = 8u; i < LANES; i = i + 8u) { sum = sum + lane_sums[at + i]; }
    parts[j] = sum;
  }
  workgroupBarrier();
  for (var j = lane; j < BATCH * GROUPS; j = j + THREADS) {
    let at = j * 8u;
    let sum = ((parts[at] + parts[at + 1u]) + (parts[at + 2u] + parts[at + 3u])) +
      ((parts[at + 4u] + parts[at + 5u]) + (parts[at + 6u] + parts[at + 7u]));
    let r = r0 + j / GROUPS / OUTS;
    let n = n0 + (j % GROUPS) * OUTS + (j / GROUPS) % OUTS;
    if (r < row_count() && n < OUT) { y[r * OUT + n] = scaled(n, sum); }
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row_tiles = (row_count() + ROWS - 1u) / ROWS;
  let base_work = ((OUT + GROUPS * OUTS - 1u) / (GROUPS * OUTS)) * row_tiles;
  // The shrink comes first: it is all latency, which the rest then hides.
  let flat = wid.y * grid.x + wid.x;
  let shrinks = shrink_workgroups();
  if (flat < shrinks) {
    lora_shrink(flat, lane);
    return;
  }
  let work = flat - shrinks;
  if (work >= base_work) { return; }

  let r0 = (work % row_tiles) * ROWS;
  let n0 = (work / row_tiles) * (GROUPS * OUTS);
  let n = n0 + (lane / LANES) * OUTS;
  #for r in ROWS
  let row{r} = x_row(min(r0 + {r}u, row_count() - 1u));
  #for o in OUTS
  var sum{r}_{o} = 0.0;
  #end
  #end
  for (var piece = lane % LANES; piece < IN / 8u / piece_eights(); piece = piece + LANES) {
    #for o in OUTS
    let bits{o} = weight_piece(n + {o}u, piece);
    #end
    #for i in 2
    if ({i}u < piece_eights()) {
      #for o in OUTS
      let w{o} = widen(piece_eight(bits{o}, {i}u));
      #end
      #for r in ROWS
      let x{r} = x_eight(row{r}, piece * piece_eights() + {i}u);
      #for o in OUTS
      sum{r}_{o} = fma8(w{o}, x{r}, sum{r}_{o});
      #end
      #end
    }
    #end
  }
  #for r in ROWS
  #for o in OUTS
  lane_sums[({r}u % BATCH_ROWS * OUTS + {o}u) * (THREADS + 1u) + lane] = sum{r}_{o};
  #end
  if ({r}u % BATCH_ROWS == BATCH_ROWS - 1u) { finish(lane, r0 + {r}u + 1u - BATCH_ROWS, n0); }
  #end
}
