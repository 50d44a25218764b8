// h[t] = g * (E[id(t)] + sum_k w_k s_k B_k A_k[id(t)]),   xn[t] = h[t] / sqrt(mean(h[t]^2) + EPS) * gamma   (shared/norm.wgsl)
// id(t): the token given by the host, or the one sampled last in a slot, which never left the GPU.
// Adapters on embed_tokens live in the head pool, A stored [vocab][rank]; g = 1 but for DoRA, which is alone in its row.
// One workgroup a token.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> table: array<vec4<u32>>; // [VOCAB][HIDDEN] 16 bit
@group(0) @binding(2) var<storage, read> last_token: array<u32>;  // [slots]
@group(0) @binding(3) var<storage, read> pool0: array<vec4<u32>>; // head pool
@group(0) @binding(4) var<storage, read> pool1: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> gamma: array<vec4<f32>>; // [HIDDEN]
@group(0) @binding(6) var<storage, read_write> h: array<vec4<f32>>;  // [T][HIDDEN]
@group(0) @binding(7) var<storage, read_write> xn: array<vec4<u32>>; // [T][HIDDEN] f16
override HIDDEN: u32;
override EPS: f32;
override BF16: bool;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let t = wid.x;
  var id = token_source(t);
  if ((id & FROM_SLOT) != 0u) { id = last_token[id & 0x7fffffffu]; }
  norm_row(t, id, lane);
}

fn next_hidden(t: u32, id: u32, e: u32) -> Eight {
  let v = table[id * (HIDDEN / 8u) + e];
  if (BF16) { return adapted(unpack_bf16(v), t, id, e); }
  return adapted(unpack_f16(v), t, id, e);
}

fn adapted(base: Eight, t: u32, id: u32, e: u32) -> Eight {
  var y = base;
  for (var k = 0u; k < step_routes(); k = k + 1u) {
    let image = head_route_image(t, k);
    if (image == NONE) { continue; }
    let m = image_module(image, 0u);
    if (m.rank == 0u) { continue; }
    let weight = head_route_weight(t, k) * m.scale;
    let row_vecs = (m.rank + 7u) / 8u;
    for (var j = 0u; j < m.rank; j = j + 1u) {
      let a = image_eight(image, m.a, id * row_vecs + j / 8u, m.bf16);
      var scaled = 0.0;
      if (j % 8u < 4u) { scaled = weight * a.lo[j % 4u]; } else { scaled = weight * a.hi[j % 4u]; }
      let b = image_eight(image, m.b, j * (HIDDEN / 8u) + e, m.bf16);
      y = Eight(fma(vec4<f32>(scaled), b.lo, y.lo), fma(vec4<f32>(scaled), b.hi, y.hi));
    }
    if (m.gain != NONE) {
      let g = image_f32x8(image, m.gain, e);
      y = Eight(y.lo * g.lo, y.hi * g.hi);
    }
  }
  return y;
}
