// u[row, k, m, j] = w * s * (A_m[j, :] . x[row, :])   for the routed tokens of one work item: LoRA's down
// projection, carried as extra workgroups of the base projection that reads the same x.
// A workgroup takes 16 rank rows and up to 4 tokens: 4 groups of 32 lanes, a group 4 rows, lanes along x.
// Needs: step, pool, unpack, lora, dot_tile.wgsl; bindings x, u; overrides IN, MODULES, FIRST_MODULE, HEAD_POOL.
const MAX_RANK: u32 = 256u;

fn shrink_field(item: u32, field: u32) -> u32 {
  if (HEAD_POOL) { return head_shrink_item(item, field); }
  return shrink_item(item, field);
}

fn lora_shrink(work: u32, lane: u32) {
  let item = work / MODULES;
  let m = work % MODULES;
  let image = shrink_field(item, 0u);
  let first = shrink_field(item, 1u);
  let count = shrink_field(item, 2u);
  let base = shrink_field(item, 3u) * 16u;
  let part = image_module(image, FIRST_MODULE + m);
  if (base >= part.rank) { return; }

  var entries = vec4<u32>(0u);
  var rows = vec4<u32>(0u);
  for (var i = 0u; i < 4u; i = i + 1u) {
    let at = first + min(i, count - 1u);
    if (HEAD_POOL) { entries[i] = head_shrink_entry(at); } else { entries[i] = shrink_entry(at); }
    rows[i] = x_row(entries[i] >> 4u);
  }

  let j0 = base + (lane / 32u) * 4u;
  let last = part.rank - 1u;
  var acc = Tile(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());
  for (var k8 = lane % 32u; k8 < IN / 8u; k8 = k8 + 32u) {
    let w0 = image_eight(image, part.a, min(j0, last) * (IN / 8u) + k8, part.bf16);
    let w1 = image_eight(image, part.a, min(j0 + 1u, last) * (IN / 8u) + k8, part.bf16);
    let w2 = image_eight(image, part.a, min(j0 + 2u, last) * (IN / 8u) + k8, part.bf16);
    let w3 = image_eight(image, part.a, min(j0 + 3u, last) * (IN / 8u) + k8, part.bf16);
    acc = dot_tile(acc, w0, w1, w2, w3, rows, k8);
  }
  let sum = reduce_tile(lane, acc);

  // Invocation i < 64 holds row (i / 4) of the 16 and token i % 4.
  let j = base + lane / 4u;
  let token = lane % 4u;
  if (lane < 64u && token < count && j < part.rank) {
    let row = entries[token] >> 4u;
    let k = entries[token] & 15u;
    var weight = 0.0;
    if (HEAD_POOL) { weight = head_route_weight(x_row(row), k); } else { weight = route_weight(row, k); }
    u[((row * step_routes() + k) * MODULES + m) * MAX_RANK + j] = weight * part.scale * sum;
  }
}
