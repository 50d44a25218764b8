// xn[t] = h[t] / sqrt(mean(h[t]^2) + EPS) * gamma, with h[t] as the kernel's `next_hidden` computes it, eight columns
// at a time, and written here. An invocation keeps its first eight columns in registers, which is all of them up to
// HIDDEN = 8 * WORKGROUP; what lies beyond is read back. Needs: reduce.wgsl, unpack.wgsl; bindings gamma, h, xn;
// overrides HIDDEN, EPS; fn next_hidden(t: u32, source: u32, eight: u32) -> Eight.
fn norm_row(t: u32, source: u32, lane: u32) {
  let eights = HIDDEN / 8u;
  let start = t * (HIDDEN / 4u);
  var first = Eight(vec4<f32>(), vec4<f32>());
  var gain = first;
  if (lane < eights) {
    gain = Eight(gamma[lane * 2u], gamma[lane * 2u + 1u]);
    first = next_hidden(t, source, lane);
    h[start + lane * 2u] = first.lo;
    h[start + lane * 2u + 1u] = first.hi;
  }
  var squares = dot8(first, first);
  for (var e = lane + WORKGROUP; e < eights; e = e + WORKGROUP) {
    let next = next_hidden(t, source, e);
    h[start + e * 2u] = next.lo;
    h[start + e * 2u + 1u] = next.hi;
    squares = squares + dot8(next, next);
  }
  let scale = inverseSqrt(reduce_sum(lane, squares) / f32(HIDDEN) + EPS);
  if (lane < eights) {
    let normed = Eight(first.lo * scale * gain.lo, first.hi * scale * gain.hi);
    xn[t * eights + lane] = pack_activation(normed);
  }
  for (var e = lane + WORKGROUP; e < eights; e = e + WORKGROUP) {
    let at = start + e * 2u;
    let normed = Eight(h[at] * scale * gamma[e * 2u], h[at + 1u] * scale * gamma[e * 2u + 1u]);
    xn[t * eights + e] = pack_activation(normed);
  }
}
