// u[row, k, m, j] = w * s * (A_m[j, :] . x[row, :])   for the routed tokens of one work item: LoRA's down
// projection, carried as extra workgroups of the base projection that reads the same x.
// An item is 16 rank rows for up to 4 tokens (1 where ROWS is 1), shared by LANES / 32 workgroups, of which the
// first 128 invocations work: groups of LANES lanes along x, a group 4 rank rows.
// Needs: step, pool, unpack, lora, linear, dot_tile.wgsl.
const MAX_RANK: u32 = 256u;
const SHRINK_SPLIT: u32 = LANES / 32u;

fn shrink_workgroups() -> u32 {
  var items = shrink_items();
  if (HEAD_POOL) { items = head_shrink_items(); }
  return items * MODULES * SHRINK_SPLIT;
}

fn shrink_field(item: u32, field: u32) -> u32 {
  if (HEAD_POOL) { return head_shrink_item(item, field); }
  return shrink_item(item, field);
}

fn lora_shrink(work: u32, lane: u32) {
  let item = work / (MODULES * SHRINK_SPLIT);
  let m = (work / SHRINK_SPLIT) % MODULES;
  let image = shrink_field(item, 0u);
  let first = shrink_field(item, 1u);
  let count = shrink_field(item, 2u);
  let base = shrink_field(item, 3u) * 16u + (work % SHRINK_SPLIT) * (512u / LANES);
  let part = image_module(image, FIRST_MODULE + m);
  if (base >= part.rank) { return; }

  var entries = vec4<u32>(0u);
  var rows = vec4<u32>(0u);
  for (var i = 0u; i < 4u; i = i + 1u) {
    let at = first + min(i, count - 1u);
    if (HEAD_POOL) { entries[i] = head_shrink_entry(at); } else { entries[i] = shrink_entry(at); }
    rows[i] = x_row(entries[i] >> 4u);
  }

  let j0 = base + (lane / LANES) * 4u;
  let last = part.rank - 1u;
  var acc = Tile(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());
  if (lane < 128u) {
    for (var k8 = lane % LANES; k8 < IN / 8u; k8 = k8 + LANES) {
      let a = Weights(
        image_eight(image, part.a, min(j0, last) * (IN / 8u) + k8, part.bf16),
        image_eight(image, part.a, min(j0 + 1u, last) * (IN / 8u) + k8, part.bf16),
        image_eight(image, part.a, min(j0 + 2u, last) * (IN / 8u) + k8, part.bf16),
        image_eight(image, part.a, min(j0 + 3u, last) * (IN / 8u) + k8, part.bf16),
      );
      acc = dot_tile(acc, a, rows, k8);
    }
  }
  let sum = reduce_tile(lane, acc);

  // Invocation i of a group writes token i.
  let token = lane % LANES;
  if (lane < 128u && token < min(count, 4u)) {
    let row = entries[token] >> 4u;
    let k = entries[token] & 15u;
    var weight = 0.0;
    if (HEAD_POOL) { weight = head_route_weight(x_row(row), k); } else { weight = route_weight(row, k); }
    let values = weight * part.scale * tile_row(sum, token);
    let at = ((row * step_routes() + k) * MODULES + m) * MAX_RANK + j0;
    for (var i = 0u; i < 4u; i = i + 1u) {
      if (j0 + i < part.rank) { u[at + i] = values[i]; }
    }
  }
}
