// logits[r] = lora_apply(logits[r])   for adapters on lm_head, whose images live in the head pool.
// One invocation eight columns of one row; rows without such an adapter are not touched.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;             // [R][K][1][256]
@group(0) @binding(2) var<storage, read> pool0: array<vec4<u32>>;   // head pool
@group(0) @binding(3) var<storage, read> pool1: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> logits: array<f32>; // [R][VOCAB]
override VOCAB: u32;
override HEAD_POOL: bool = true;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let eights = (VOCAB + 7u) / 8u;
  let work = (wid.y * grid.x + wid.x) * 64u + lane;
  if (work >= step_logit_rows() * eights) { return; }
  let r = work / eights;
  let e = work % eights;
  let at = r * VOCAB + e * 8u;
  let count = min(8u, VOCAB - e * 8u);
  let base = Eight(four_logits(at, count), four_logits(at + 4u, max(count, 4u) - 4u));
  let y = lora_apply(base, r, logit_token(r), 0u, 1u, 1u, e, eights);
  #for i in 4
  if ({i}u < count) { logits[at + {i}u] = y.lo[{i}]; }
  if (4u + {i}u < count) { logits[at + 4u + {i}u] = y.hi[{i}]; }
  #end
}

// The logits from `at` on, of which `count` are of this row.
fn four_logits(at: u32, count: u32) -> vec4<f32> {
  var four = vec4<f32>();
  #for i in 4
  if ({i}u < count) { four[{i}] = logits[at + {i}u]; }
  #end
  return four;
}
