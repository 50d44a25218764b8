// Writing to the pool: for kernels that bind it read_write. Needs: pool.wgsl.
fn pool_store(page: u32, vec: u32, value: vec4<u32>) {
  if (SLAB_PAGES == ONE_SLAB || page < SLAB_PAGES) { pool0[page * PAGE_VECS + vec] = value; } else {
    pool1[(page - SLAB_PAGES) * PAGE_VECS + vec] = value;
  }
}
