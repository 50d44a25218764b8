// Reading a sequence's keys and values by its block table. A KV block is 16 tokens: K [KV_HEADS][16][HEAD_DIM]
// f16, then V the same, cut into PAGES_PER_BLOCK pages. Needs: step.wgsl, pool.wgsl, unpack.wgsl;
// overrides KV_HEADS, HEAD_DIM, PAGES_PER_BLOCK.

// Vec (8 numbers) `vec` of the block that holds token position `position`.
fn block_vec(table: u32, position: u32, vec: u32) -> vec4<u32> {
  let pages = table + (position / 16u) * PAGES_PER_BLOCK;
  if (PAGES_PER_BLOCK == 1u) { return pool_load(step[pages], vec); }
  return pool_load(step[pages + vec / PAGE_VECS], vec % PAGE_VECS);
}

// Columns 8 * eight .. + 7 of one head's key or value at `position`.
fn key_vec(table: u32, position: u32, head: u32, eight: u32) -> vec4<u32> {
  return block_vec(table, position, (head * 16u + position % 16u) * (HEAD_DIM / 8u) + eight);
}
fn value_vec(table: u32, position: u32, head: u32, eight: u32) -> vec4<u32> {
  return key_vec(table, position, KV_HEADS + head, eight);
}
