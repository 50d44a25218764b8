// h[t] += g * (y[t] + B u[t]) + ...   (shared/lora_expand.wgsl: o_proj or down_proj completed), y[t] over all planes
// xn[t] = h[t] / sqrt(mean(h[t]^2) + EPS) * gamma   (shared/norm.wgsl, one workgroup a token)
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> y: array<vec4<f32>>;     // [planes][T][HIDDEN]
@group(0) @binding(2) var<storage, read> u: array<f32>;           // [T][K][1][256]
@group(0) @binding(3) var<storage, read> pool0: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> pool1: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> gamma: array<vec4<f32>>; // [HIDDEN]
@group(0) @binding(6) var<storage, read_write> h: array<vec4<f32>>;  // [T][HIDDEN]
@group(0) @binding(7) var<storage, read_write> xn: array<vec4<u32>>; // [T][HIDDEN] f16
override HIDDEN: u32;
override EPS: f32;
override MODULE: u32;
override HEAD_POOL: bool = false;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  norm_row(wid.x, 0u, lane);
}

fn next_hidden(t: u32, source: u32, e: u32) -> Eight {
  let at = t * (HIDDEN / 4u) + e * 2u;
  var base = Eight(y[at], y[at + 1u]);
  let plane = step_tokens() * (HIDDEN / 4u);
  let projection = select(1u, 3u, MODULE == 6u); // o, or down
  for (var p = 1u; p < step_planes(projection); p++) {
    base = Eight(base.lo + y[at + p * plane], base.hi + y[at + p * plane + 1u]);
  }
  let before = Eight(h[at], h[at + 1u]);
  let added = lora_apply(base, t, t, 0u, 1u, MODULE, e, HIDDEN / 8u);
  return Eight(before.lo + added.lo, before.hi + added.hi);
}
