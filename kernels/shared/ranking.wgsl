// Floats as u32 keys of the same order, so that ties, infinities and NaN are plain integers, and the largest key
// of a workgroup. Needs: reduce.wgsl for WORKGROUP.

const KEY_LEAST: u32 = 0x00800000u; // of the lowest finite float; -inf lies below, NaN is 0, the lowest
const KEY_MOST: u32 = 0xff7fffffu;  // of the highest finite float

fn keys_of(numbers: vec4<f32>) -> vec4<u32> {
  let bits = bitcast<vec4<u32>>(numbers);
  let keys = select(~bits, bits | vec4<u32>(0x80000000u), bits < vec4<u32>(0x80000000u));
  // -0 ranks as 0.
  let zeroed = select(keys, vec4<u32>(0x80000000u), bits == vec4<u32>(0x80000000u));
  return select(zeroed, vec4<u32>(), (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}
fn key_of(number: f32) -> u32 { return keys_of(vec4<f32>(number)).x; }

// The numbers again, infinities as the finite numbers next to them.
fn numbers_of(keys: vec4<u32>) -> vec4<f32> {
  let finite = clamp(keys, vec4<u32>(KEY_LEAST), vec4<u32>(KEY_MOST));
  let high = finite >= vec4<u32>(0x80000000u);
  return bitcast<vec4<f32>>(select(~finite, finite & vec4<u32>(0x7fffffffu), high));
}
fn number_of(key: u32) -> f32 { return numbers_of(vec4<u32>(key)).x; }

// A row is read four numbers WORKGROUP apart at a time, so that several loads are under way: these indices,
// those past the end moved to the last number, and the keys of what was read, the lowest past the end.
fn four(v: u32) -> vec4<u32> { return vec4<u32>(v) + vec4<u32>(0u, 1u, 2u, 3u) * WORKGROUP; }
fn four_within(v: u32, length: u32) -> vec4<u32> { return min(four(v), vec4<u32>(length - 1u)); }
fn row_keys_of(numbers: vec4<f32>, v: u32, length: u32) -> vec4<u32> {
  return select(vec4<u32>(), keys_of(numbers), four(v) < vec4<u32>(length));
}

// The candidate with the larger key, the lower id where keys are equal.
struct Best { key: u32, id: u32 }
fn better(a: Best, b: Best) -> Best {
  if (b.key > a.key || (b.key == a.key && b.id < a.id)) { return b; }
  return a;
}
fn better4(best: Best, keys: vec4<u32>, ids: vec4<u32>) -> Best {
  let low = better(Best(keys.x, ids.x), Best(keys.y, ids.y));
  let high = better(Best(keys.z, ids.z), Best(keys.w, ids.w));
  return better(best, better(low, high));
}

var<workgroup> best_of: array<Best, WORKGROUP>;

// Every invocation must call; all get the workgroup's best.
fn reduce_best(lane: u32, mine: Best) -> Best {
  workgroupBarrier();
  best_of[lane] = mine;
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
    if (lane < half) { best_of[lane] = better(best_of[lane], best_of[lane + half]); }
    workgroupBarrier();
  }
  return best_of[0];
}
