// Eight 16-bit numbers in a vec4<u32>, element 0 in the low half of x; widened exactly.
struct Eight { lo: vec4<f32>, hi: vec4<f32> }

fn unpack_f16(v: vec4<u32>) -> Eight {
  return Eight(
    vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y)),
    vec4<f32>(unpack2x16float(v.z), unpack2x16float(v.w)),
  );
}

fn unpack_bf16(v: vec4<u32>) -> Eight {
  let even = bitcast<vec4<f32>>(v << vec4<u32>(16u));
  let odd = bitcast<vec4<f32>>(v & vec4<u32>(0xffff0000u));
  return Eight(
    vec4<f32>(even.x, odd.x, even.y, odd.y),
    vec4<f32>(even.z, odd.z, even.w, odd.w),
  );
}

// Four signed bytes, the first in the low bits. A byte plus 128 in the mantissa of 2^23 is a float without conversion.
fn unpack_i8(v: u32) -> vec4<f32> {
  let biased = (vec4<u32>(v ^ 0x80808080u) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
  return bitcast<vec4<f32>>(biased | vec4<u32>(0x4b000000u)) - vec4<f32>(8388736.0);
}

fn pack_f16(e: Eight) -> vec4<u32> {
  return vec4<u32>(
    pack2x16float(e.lo.xy), pack2x16float(e.lo.zw),
    pack2x16float(e.hi.xy), pack2x16float(e.hi.zw),
  );
}

// Activations that projections read, and keys and values: f16 ends at 65504, and what lies beyond is held there rather than made infinite.
fn pack_activation(e: Eight) -> vec4<u32> {
  let most = vec4<f32>(65504.0);
  return pack_f16(Eight(clamp(e.lo, -most, most), clamp(e.hi, -most, most)));
}

fn dot8(a: Eight, b: Eight) -> f32 { return dot(a.lo, b.lo) + dot(a.hi, b.hi); }
