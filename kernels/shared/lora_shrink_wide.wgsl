// u[row, k, m, j] = w * s * (A_m[j, :] . x[row, :])   for the routed tokens of one work item: LoRA's down
// projection, carried as extra workgroups of a base projection on matrix units that reads the same x.
// An item (shrink_items.wgsl) is shared by SHRINK_SPLIT workgroups. Groups of LANES invocations lie along x, each with
// RANKS rank rows at a time.
// Needs: shrink_items, pool, unpack, lora, linear, fma8.wgsl; THREADS; SHRINK_SPLIT and RANKS (4 or 8; QUADS a quarter of
// it, for #for); `staged: array<vec4<u32>>` of THREADS * RANKS or more.
const LANES: u32 = min(THREADS, 128u);
const AT_ONCE: u32 = RANKS * (THREADS / LANES);

fn lora_shrink(work: u32, thread: u32) {
  let item = work / SHRINK_SPLIT;
  let image = shrink_field(item, 0u);
  let first = shrink_field(item, 1u);
  let count = shrink_field(item, 2u);
  let which = shrink_field(item, 3u);
  let begin = which % 16u * 16u + (work % SHRINK_SPLIT) * (16u / SHRINK_SPLIT);
  let m = which / 16u - FIRST_MODULE;
  let part = image_module(image, FIRST_MODULE + m);
  let end = min(begin + 16u / SHRINK_SPLIT, part.rank);
  #for i in 4
  let entry{i} = shrink_token(first + min({i}u, count - 1u));
  let row{i} = x_row(entry{i} >> 4u);
  #end
  let lane = thread % LANES;
  let group = thread / LANES;
  for (var pass_begin = begin; pass_begin < end; pass_begin = pass_begin + AT_ONCE) {
    let j0 = pass_begin + group * RANKS;
    #for j in QUADS
    #for i in 4
    var sum{j}_{i} = vec4<f32>(); // of token i, four rank rows
    #end
    #end
    for (var k8 = lane; k8 < IN / 8u; k8 = k8 + LANES) {
      #for j in QUADS
      #for r in 4
      let at{j}_{r} = part.a * 64u + min(j0 + {j}u * 4u + {r}u, part.rank - 1u) * (IN / 8u) + k8;
      let page{j}_{r} = image_page(image, at{j}_{r} / PAGE_VECS);
      #end
      #end
      #for j in QUADS
      #for r in 4
      let bits{j}_{r} = pool_load(page{j}_{r}, at{j}_{r} % PAGE_VECS);
      #end
      #end
      #for i in 4
      let x{i} = x_eight(row{i}, k8);
      #end
      #for j in QUADS
      {
        #for r in 4
        let a{r} = sixteen_bits(bits{j}_{r}, part.bf16);
        #end
        #for i in 4
        sum{j}_{i} = vec4<f32>(
          fma8(a0, x{i}, sum{j}_{i}.x), fma8(a1, x{i}, sum{j}_{i}.y),
          fma8(a2, x{i}, sum{j}_{i}.z), fma8(a3, x{i}, sum{j}_{i}.w),
        );
        #end
      }
      #end
    }
    workgroupBarrier(); // the sums of the pass before have been read
    #for j in QUADS
    #for i in 4
    staged[sum_at(group, {j}u * 4u + {i}u) + lane] = bitcast<vec4<u32>>(sum{j}_{i});
    #end
    #end
    workgroupBarrier();
    fold(group, lane, LANES / 4u);
    workgroupBarrier();
    fold(group, lane, LANES / 16u);
    workgroupBarrier();
    let token = lane % 4u;
    let j = lane / 4u;
    if (j < RANKS && j0 + j < end && token < count) {
      let at = sum_at(group, j / 4u * 4u + token);
      var sum = 0.0;
      for (var i = 0u; i < LANES / 16u; i++) { sum = sum + bitcast<f32>(staged[at + i][j % 4u]); }
      let entry = pick(vec4<u32>(entry0, entry1, entry2, entry3), token);
      u[shrink_at(entry, m) + j0 + j] = shrink_weight(entry) * part.scale * sum;
    }
  }
}

// Where the lanes' vectors number `v` of a group begin: [rank rows / 4][tokens].
fn sum_at(group: u32, v: u32) -> u32 { return (group * RANKS + v) * LANES; }

// Adds up four times `apart` partial sums of each vector to `apart`.
fn fold(group: u32, lane: u32, apart: u32) {
  for (var e = lane; e < RANKS * apart; e = e + LANES) {
    let at = sum_at(group, e / apart) + e % apart;
    var sum = bitcast<vec4<f32>>(staged[at]);
    #for i in 3
    sum = sum + bitcast<vec4<f32>>(staged[at + ({i}u + 1u) * apart]);
    #end
    staged[at] = bitcast<vec4<u32>>(sum);
  }
}
