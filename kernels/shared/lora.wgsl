// Reading an adapter image (models/adapter_image.ts) from the pool by its first page alone.
// Needs: pool.wgsl, unpack.wgsl.

struct Module {
  rank: u32,       // 0: the adapter does not touch this part
  bf16: bool,      // element type of A and B
  a: u32,          // chunk of A [rank][in]
  b: u32,          // chunk of B [rank][out]
  bias: u32,       // chunk of b_B [out] f32, or NONE
  gain: u32,       // chunk of g [out] f32 (DoRA), or NONE
  scale: f32,      // s
}

fn image_module(image: u32, part: u32) -> Module {
  let first = pool_load(image, part * 2u);
  let second = pool_load(image, part * 2u + 1u);
  return Module(first.x, first.y == 1u, first.z, first.w, second.x, second.y, bitcast<f32>(second.z));
}

// Vec (16 bytes) `vec` counted from the front of `chunk`, wherever its page lies.
fn image_page(image: u32, page: u32) -> u32 { return pool_word(image, 64u + page / 4u, page % 4u); }
fn image_vec(image: u32, chunk: u32, vec: u32) -> vec4<u32> {
  let at = chunk * 64u + vec;
  return pool_load(image_page(image, at / PAGE_VECS), at % PAGE_VECS);
}
fn sixteen_bits(v: vec4<u32>, bf16: bool) -> Eight {
  if (bf16) { return unpack_bf16(v); }
  return unpack_f16(v);
}
fn image_eight(image: u32, chunk: u32, vec: u32, bf16: bool) -> Eight {
  return sixteen_bits(image_vec(image, chunk, vec), bf16);
}
// Eight f32 values starting at element 8 * eight of an f32 vector at `chunk`.
fn image_f32x8(image: u32, chunk: u32, eight: u32) -> Eight {
  return Eight(
    bitcast<vec4<f32>>(image_vec(image, chunk, eight * 2u)),
    bitcast<vec4<f32>>(image_vec(image, chunk, eight * 2u + 1u)),
  );
}
