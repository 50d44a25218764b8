// q[n, k] = round(W[n, k] / s[n]),   s[n] = max_k |W[n, k]| / 127: int8 weights with a scale an output.
// Rounds half to even; a row of zeros, or of nothing above 2^-100, has the scale 0. One workgroup a row of `staged`.
@group(0) @binding(0) var<storage, read> job: array<u32>; // [0] IN, [1] OUT, [2] first row staged, [3] rows staged, [4] bf16
@group(0) @binding(1) var<storage, read> staged: array<vec4<u32>>;     // [rows][IN] 16 bit
@group(0) @binding(2) var<storage, read_write> target_words: array<u32>; // [OUT][IN] int8, then [OUT] f32

fn staged_eight(at: u32) -> Eight {
  if (job[4] == 1u) { return unpack_bf16(staged[at]); }
  return unpack_f16(staged[at]);
}

fn largest(e: Eight) -> f32 {
  let four = max(abs(e.lo), abs(e.hi));
  return max(max(four.x, four.y), max(four.z, four.w));
}

fn pack_i8(four: vec4<f32>) -> u32 {
  let bytes = bitcast<vec4<u32>>(vec4<i32>(round(clamp(four, vec4<f32>(-127.0), vec4<f32>(127.0))))) & vec4<u32>(0xffu);
  return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = wid.y * grid.x + wid.x;
  if (row >= job[3]) { return; }
  let eights = job[0] / 8u;
  let n = job[2] + row;
  var most = 0.0;
  for (var e = lane; e < eights; e = e + WORKGROUP) { most = max(most, largest(staged_eight(row * eights + e))); }
  most = reduce_max(lane, most);
  let enough = most > 7.888609e-31;
  let inverse = select(0.0, 127.0 / most, enough);
  for (var e = lane; e < eights; e = e + WORKGROUP) {
    let values = staged_eight(row * eights + e);
    let at = (n * eights + e) * 2u;
    target_words[at] = pack_i8(values.lo * inverse);
    target_words[at + 1u] = pack_i8(values.hi * inverse);
  }
  if (lane == 0u) { target_words[job[1] * (job[0] / 4u) + n] = bitcast<u32>(select(0.0, most / 127.0, enough)); }
}
