// a[t] = silu(gate[t]) * up[t],  silu(z) = z / (1 + exp(-z)),  gate and up completed with their adapters'
// deltas first (shared/lora_expand.wgsl): eight columns of one token by two invocations, one for gate and one for up.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> gate_up: array<vec4<f32>>; // [planes][T][2][INTERMEDIATE]
@group(0) @binding(2) var<storage, read> u: array<f32>;             // [T][K][2][256]
@group(0) @binding(3) var<storage, read> pool0: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> pool1: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> a: array<vec4<u32>>;       // [T][INTERMEDIATE] f16
override INTERMEDIATE: u32;
override HEAD_POOL: bool = false;

const EIGHTS: u32 = 64u; // of a workgroup
var<workgroup> ups: array<Eight, EIGHTS>;

@compute @workgroup_size(2 * EIGHTS)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let eights = INTERMEDIATE / 8u;
  let work = (wid.y * grid.x + wid.x) * EIGHTS + lane % EIGHTS;
  let which = lane / EIGHTS; // 0 gate, 1 up
  let works = work < step_tokens() * eights;
  let t = work / eights;
  let e = work % eights;
  var own = Eight(vec4<f32>(), vec4<f32>());
  if (works) {
    let at = (t * 2u + which) * (INTERMEDIATE / 4u) + e * 2u;
    own = lora_apply(sum_eight(at), t, t, which, 2u, 4u + which, e, eights);
  }
  if (which == 1u) { ups[lane % EIGHTS] = own; }
  workgroupBarrier();
  if (!works || which == 1u) { return; }
  let up = ups[lane];
  let low = own.lo / (1.0 + exp(-own.lo)) * up.lo;
  let high = own.hi / (1.0 + exp(-own.hi)) * up.hi;
  a[work] = pack_activation(Eight(low, high));
}

// Eight columns over all planes.
fn sum_eight(at: u32) -> Eight {
  var sum = Eight(gate_up[at], gate_up[at + 1u]);
  let plane = step_tokens() * (INTERMEDIATE / 2u);
  for (var p = 1u; p < step_planes(2u); p++) {
    sum = Eight(sum.lo + gate_up[at + p * plane], sum.hi + gate_up[at + p * plane + 1u]);
  }
  return sum;
}
