// u[row, k, m, j] = w * s * (A_m[j, :] . x[row, :])   for the routed tokens of one work item: LoRA's down
// projection, carried as extra workgroups of a base projection on matrix units that reads the same x.
// An item (shrink_items.wgsl) is shared by SHRINK_SPLIT workgroups. Groups of LANES invocations lie along x, each with
// RANKS rank rows at a time.
// Needs: shrink_items, pool, unpack, lora, linear, fma8.wgsl; THREADS, of which LANES are a multiple of 16 and at least
// 4 * RANKS; SHRINK_SPLIT and RANKS (4 or 8; QUADS a quarter of
// it, for #for); `staged: array<vec4<u32>>` of THREADS * RANKS or more.
const LANES: u32 = min(THREADS, 128u);
const GROUPS: u32 = THREADS / LANES; // invocations past these have nothing to do
const AT_ONCE: u32 = RANKS * GROUPS;

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
  let x_row{i} = x_row(entry{i} >> 4u);
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
    // Pages are asked for a turn ahead: a load that waits for another one is twice as long on its way.
    #for j in QUADS
    #for r in 4
    let row{j}_{r} = part.a * 64u + min(j0 + {j}u * 4u + {r}u, part.rank - 1u) * (IN / 8u);
    var page{j}_{r} = image_page(image, (row{j}_{r} + lane) / PAGE_VECS);
    #end
    #end
    for (var k8 = select(IN / 8u, lane, group < GROUPS); k8 < IN / 8u; k8 = k8 + LANES) {
      #for j in QUADS
      #for r in 4
      let bits{j}_{r} = pool_load(page{j}_{r}, (row{j}_{r} + k8) % PAGE_VECS);
      #end
      #end
      let next = min(k8 + LANES, IN / 8u - 1u);
      #for j in QUADS
      #for r in 4
      page{j}_{r} = image_page(image, (row{j}_{r} + next) / PAGE_VECS);
      #end
      #end
      #for j in QUADS
      #for r in 4
      var a{j}_{r}: Eight;
      #end
      #end
      if (part.bf16) {
        #for j in QUADS
        #for r in 4
        a{j}_{r} = unpack_bf16(bits{j}_{r});
        #end
        #end
      } else {
        #for j in QUADS
        #for r in 4
        a{j}_{r} = unpack_f16(bits{j}_{r});
        #end
        #end
      }
      let x0 = x_eight(x_row0, k8);
      #for j in QUADS
      sum{j}_0 = dots(a{j}_0, a{j}_1, a{j}_2, a{j}_3, x0, sum{j}_0);
      #end
      // An adapter that has one token alone is what there is most of.
      if (count > 1u) {
        let x1 = x_eight(x_row1, k8);
        let x2 = x_eight(x_row2, k8);
        let x3 = x_eight(x_row3, k8);
        #for j in QUADS
        sum{j}_1 = dots(a{j}_0, a{j}_1, a{j}_2, a{j}_3, x1, sum{j}_1);
        sum{j}_2 = dots(a{j}_0, a{j}_1, a{j}_2, a{j}_3, x2, sum{j}_2);
        sum{j}_3 = dots(a{j}_0, a{j}_1, a{j}_2, a{j}_3, x3, sum{j}_3);
        #end
      }
    }
    workgroupBarrier(); // the sums of the pass before have been read
    if (group < GROUPS) {
      #for j in QUADS
      #for i in 4
      staged[sum_at(group, {j}u * 4u + {i}u) + lane] = bitcast<vec4<u32>>(sum{j}_{i});
      #end
      #end
    }
    workgroupBarrier();
    fold(group, lane, LANES / 4u);
    workgroupBarrier();
    fold(group, lane, LANES / 16u);
    workgroupBarrier();
    let token = lane % 4u;
    let j = lane / 4u;
    if (group < GROUPS && j < RANKS && j0 + j < end && token < count) {
      let at = sum_at(group, j / 4u * 4u + token);
      var sum = 0.0;
      for (var i = 0u; i < LANES / 16u; i++) { sum = sum + bitcast<f32>(staged[at + i][j % 4u]); }
      let entry = pick(vec4<u32>(entry0, entry1, entry2, entry3), token);
      u[shrink_at(entry, m) + j0 + j] = shrink_weight(entry) * part.scale * sum;
    }
  }
}

// Four rank rows against a token's x.
fn dots(a0: Eight, a1: Eight, a2: Eight, a3: Eight, x: Eight, sum: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(fma8(a0, x, sum.x), fma8(a1, x, sum.y), fma8(a2, x, sum.z), fma8(a3, x, sum.w));
}

// Where the lanes' vectors number `v` of a group begin: [rank rows / 4][tokens].
fn sum_at(group: u32, v: u32) -> u32 { return (group * RANKS + v) * LANES; }

// Adds up four times `apart` partial sums of each vector to `apart`.
fn fold(group: u32, lane: u32, apart: u32) {
  for (var e = select(RANKS * apart, lane, group < GROUPS); e < RANKS * apart; e = e + LANES) {
    let at = sum_at(group, e / apart) + e % apart;
    var sum = bitcast<vec4<f32>>(staged[at]);
    #for i in 3
    sum = sum + bitcast<vec4<f32>>(staged[at + ({i}u + 1u) * apart]);
    #end
    staged[at] = bitcast<vec4<u32>>(sum);
  }
}
