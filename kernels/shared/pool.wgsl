// Pages of one layer's pool, in at most two slabs. Needs: bindings `pool0`, `pool1: array<vec4<u32>>`
// (pool1 is a dummy where one slab holds everything).
override PAGE_VECS: u32;  // vec4<u32> (16 bytes) a page
override SLAB_PAGES: u32; // pages in the first slab; ONE_SLAB where it holds all
const ONE_SLAB: u32 = 0xffffffffu;

fn pool_load(page: u32, vec: u32) -> vec4<u32> {
  if (SLAB_PAGES == ONE_SLAB || page < SLAB_PAGES) { return pool0[page * PAGE_VECS + vec]; }
  return pool1[(page - SLAB_PAGES) * PAGE_VECS + vec];
}
// One of its four words: picked from memory, not out of the vector.
fn pool_word(page: u32, vec: u32, word: u32) -> u32 {
  if (SLAB_PAGES == ONE_SLAB || page < SLAB_PAGES) { return pool0[page * PAGE_VECS + vec][word]; }
  return pool1[(page - SLAB_PAGES) * PAGE_VECS + vec][word];
}
