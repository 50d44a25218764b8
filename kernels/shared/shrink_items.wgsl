// Work items of LoRA's down projection, u[row, k, m, j] = w * s * (A_m[j, :] . x[row, :]) for the routed tokens of one
// item: 16 rank rows of a module for up to 4 tokens of one adapter. Needs: step, pool, lora, linear.wgsl.
// SHRINK_SPLIT workgroups share an item: the kernel or its header says how many.
const MAX_RANK: u32 = 256u;

fn shrink_workgroups() -> u32 {
  var items = shrink_first(FIRST_MODULE + MODULES) - shrink_first(FIRST_MODULE);
  if (HEAD_POOL) { items = head_shrink_items(); }
  return items * SHRINK_SPLIT;
}

// Of an item of this projection: 0 image, 1 its first entry, 2 entries, 3 which 16 rank rows + 16 * which module.
fn shrink_field(item: u32, field: u32) -> u32 {
  if (HEAD_POOL) { return head_shrink_item(item, field); }
  return shrink_item(shrink_first(FIRST_MODULE) + item, field);
}

// Of a token: 16 * row + route.
fn shrink_token(entry: u32) -> u32 {
  if (HEAD_POOL) { return head_shrink_entry(entry); }
  return shrink_entry(entry);
}

// Where a token's u begins for module `m`, and the factor w that its route has.
fn shrink_at(entry: u32, m: u32) -> u32 {
  return (((entry >> 4u) * step_routes() + (entry & 15u)) * MODULES + m) * MAX_RANK;
}
fn shrink_weight(entry: u32) -> f32 {
  if (HEAD_POOL) { return head_route_weight(x_row(entry >> 4u), entry & 15u); }
  return route_weight(entry >> 4u, entry & 15u);
}

// A component by a number that is no literal: indexing would put the vector in memory.
fn pick(v: vec4<u32>, i: u32) -> u32 {
  return select(select(v.x, v.y, i == 1u), select(v.z, v.w, i == 3u), i >= 2u);
}
