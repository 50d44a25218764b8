// sum + a . b over eight columns. Needs: unpack.wgsl.
fn fma8(a: Eight, b: Eight, sum: f32) -> f32 {
  let low = fma(a.lo.w, b.lo.w, fma(a.lo.z, b.lo.z, fma(a.lo.y, b.lo.y, fma(a.lo.x, b.lo.x, sum))));
  return fma(a.hi.w, b.hi.w, fma(a.hi.z, b.hi.z, fma(a.hi.y, b.hi.y, fma(a.hi.x, b.hi.x, low))));
}
