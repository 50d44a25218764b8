// u[row, k, m, j] = w * s * (A_m[j, :] . x[row, :])   for the routed tokens of one work item: LoRA's down
// projection, carried as extra workgroups of the base projection that reads the same x.
// An item (shrink_items.wgsl; of one token where ROWS is 1) is shared by SHRINK_SPLIT workgroups, of which at most
// the first 128 invocations work: groups of SHRINK_LANES along x, a group 4 rank rows.
// Needs: shrink_items, pool, unpack, lora, linear, dot_tile.wgsl; THREADS, the invocations of a workgroup (32 or more).
const SHRINK_THREADS: u32 = min(THREADS, 128u);
const SHRINK_LANES: u32 = max(LANES, 32u);
const SHRINK_SPLIT: u32 = 4u * SHRINK_LANES / SHRINK_THREADS;

fn lora_shrink(work: u32, lane: u32) {
  let item = work / SHRINK_SPLIT;
  let image = shrink_field(item, 0u);
  let first = shrink_field(item, 1u);
  let count = shrink_field(item, 2u);
  let which = shrink_field(item, 3u);
  let base = which % 16u * 16u + (work % SHRINK_SPLIT) * (16u / SHRINK_SPLIT);
  let m = which / 16u - FIRST_MODULE;
  let part = image_module(image, FIRST_MODULE + m);
  if (base >= part.rank) { return; }

  #for i in 4
  let entry{i} = shrink_token(first + min({i}u, count - 1u));
  #end
  let entries = vec4<u32>(entry0, entry1, entry2, entry3);
  let rows = vec4<u32>(
    x_row(entry0 >> 4u), x_row(entry1 >> 4u), x_row(entry2 >> 4u), x_row(entry3 >> 4u),
  );

  let j0 = base + (lane / SHRINK_LANES) * 4u;
  let last = part.rank - 1u;
  var acc = Tile(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());
  if (lane < SHRINK_THREADS) {
    for (var k8 = lane % SHRINK_LANES; k8 < IN / 8u; k8 = k8 + SHRINK_LANES) {
      #for i in 4
      let at{i} = part.a * 64u + min(j0 + {i}u, last) * (IN / 8u) + k8;
      let page{i} = image_page(image, at{i} / PAGE_VECS);
      #end
      #for i in 4
      let bits{i} = pool_load(page{i}, at{i} % PAGE_VECS);
      #end
      var a: Weights;
      if (part.bf16) {
        a = Weights(unpack_bf16(bits0), unpack_bf16(bits1), unpack_bf16(bits2), unpack_bf16(bits3));
      } else {
        a = Weights(unpack_f16(bits0), unpack_f16(bits1), unpack_f16(bits2), unpack_f16(bits3));
      }
      acc = dot_tile(acc, a, rows, k8);
    }
  }
  let sum = reduce_tile(lane, acc);

  // Invocation i of a group writes token i.
  let token = lane % SHRINK_LANES;
  if (lane < SHRINK_THREADS && token < min(count, 4u)) {
    let entry = pick(entries, token);
    let values = shrink_weight(entry) * part.scale * tile_row(sum, token);
    let at = shrink_at(entry, m) + j0;
    if (j0 < part.rank) { u[at] = values.x; }
    if (j0 + 1u < part.rank) { u[at + 1u] = values.y; }
    if (j0 + 2u < part.rank) { u[at + 2u] = values.z; }
    if (j0 + 3u < part.rank) { u[at + 3u] = values.w; }
  }
}
