// Keys and values that a tile of tokens sees, eight columns at a time, with the page of a key's block found ahead.
// Needs: step.wgsl, pool.wgsl, kv_load.wgsl; KV_HEADS, HEAD_DIM, PAGES_PER_BLOCK.

// Key positions [first, past) of one sequence, for one kv head.
struct Keys { table: u32, kv_head: u32, first: u32, past: u32 }

// The page of a key's block, of the last block for what lies beyond; nothing where a block has several.
fn tile_page(keys: Keys, position: u32) -> u32 {
  if (PAGES_PER_BLOCK > 1u) { return 0u; }
  return step[keys.table + min(position / 16u, (keys.past - 1u) / 16u)];
}

// Eight columns of one key (of kv head `head`) or value (of KV_HEADS + head); `page` is that of its block.
fn tile_load(keys: Keys, page: u32, position: u32, head: u32, eight: u32) -> vec4<u32> {
  let at = clamp(position, keys.first, keys.past - 1u);
  let vec = (head * 16u + at % 16u) * (HEAD_DIM / 8u) + eight;
  if (PAGES_PER_BLOCK == 1u) { return pool_load(page, vec); }
  return page_load(block_page(keys.table, at, vec), vec);
}
