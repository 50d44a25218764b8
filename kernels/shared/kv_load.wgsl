// Reading a sequence's keys and values by its block table. A KV block is 16 tokens: K [KV_HEADS][16][HEAD_DIM]
// f16, then V the same, cut into PAGES_PER_BLOCK pages. A vec is 8 numbers, counted from the block's start.
// Needs: step.wgsl, pool.wgsl; overrides KV_HEADS, HEAD_DIM, PAGES_PER_BLOCK.

// The page that holds vec `vec` of the block of token position `position`. What it costs is a load from the step
// buffer, so ask early.
fn block_page(table: u32, position: u32, vec: u32) -> u32 {
  let pages = table + (position / 16u) * PAGES_PER_BLOCK;
  if (PAGES_PER_BLOCK == 1u) { return step[pages]; }
  return step[pages + vec / PAGE_VECS];
}
fn page_load(page: u32, vec: u32) -> vec4<u32> {
  if (PAGES_PER_BLOCK == 1u) { return pool_load(page, vec); }
  return pool_load(page, vec % PAGE_VECS);
}

// Columns 8 * eight .. + 7 of one head's key or value at `position`.
fn key_vec(table: u32, position: u32, head: u32, eight: u32) -> vec4<u32> {
  let vec = (head * 16u + position % 16u) * (HEAD_DIM / 8u) + eight;
  return page_load(block_page(table, position, vec), vec);
}
fn value_vec(table: u32, position: u32, head: u32, eight: u32) -> vec4<u32> {
  return key_vec(table, position, KV_HEADS + head, eight);
}
