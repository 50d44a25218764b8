// LoRA's up projection, folded into whatever consumes a projection's output:
// y = g * (W x + sum_k B_k u_k) + sum_k w_k s_k b_k      (g = 1 but for DoRA, which is alone in its row)
// Eight neighbouring columns an invocation, so that B [rank][out] is read in whole vectors.
// Needs: step, pool, unpack, lora.wgsl; binding `u: array<f32>`; override HEAD_POOL.
const U_STRIDE: u32 = 256u;

// `base`: columns 8 * eight .. + 7 of W x for row `row` (token `t`); `eights`: out / 8, rounded up.
// Module `module` of the image is number `um` of the `modules` that share u.
fn lora_apply(base: Eight, row: u32, t: u32, um: u32, modules: u32, part: u32, eight: u32, eights: u32) -> Eight {
  var y = base;
  let routes = select(step_routes(), 0u, !HEAD_POOL && !step_adapts(part));
  for (var k = 0u; k < routes; k = k + 1u) {
    var image = NONE;
    var weight = 0.0;
    if (HEAD_POOL) { image = head_route_image(t, k); weight = head_route_weight(t, k); } else {
      image = route_image(t, k);
      weight = route_weight(t, k);
    }
    if (image == NONE) { continue; }
    let m = image_module(image, part);
    if (m.rank == 0u) { continue; }
    let start = ((row * routes + k) * modules + um) * U_STRIDE;
    // Eight rows of B under way at a time: page, row and use follow each other, and each waits for memory.
    for (var j = 0u; j < m.rank; j = j + 8u) {
      #for i in 8
      let j{i} = min(j + {i}u, m.rank - 1u);
      let at{i} = m.b * 64u + j{i} * eights + eight;
      let page{i} = image_page(image, at{i} / PAGE_VECS);
      #end
      #for i in 8
      let bits{i} = pool_load(page{i}, at{i} % PAGE_VECS);
      let u{i} = u[start + j{i}];
      var b{i}: Eight;
      #end
      // One branch for all: few invocations run here, and each instruction of theirs is waited for.
      if (m.bf16) {
        #for i in 8
        b{i} = unpack_bf16(bits{i});
        #end
      } else {
        #for i in 8
        b{i} = unpack_f16(bits{i});
        #end
      }
      #for i in 8
      let scaled{i} = vec4<f32>(select(0.0, u{i}, j + {i}u < m.rank));
      y = Eight(fma(scaled{i}, b{i}.lo, y.lo), fma(scaled{i}, b{i}.hi, y.hi));
      #end
    }
    if (m.gain != NONE) {
      let g = image_f32x8(image, m.gain, eight);
      y = Eight(y.lo * g.lo, y.hi * g.hi);
    }
    if (m.bias != NONE) {
      let b = image_f32x8(image, m.bias, eight);
      let scaled = vec4<f32>(weight * m.scale);
      y = Eight(fma(scaled, b.lo, y.lo), fma(scaled, b.hi, y.hi));
    }
  }
  return y;
}
