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

// A row of `length` numbers is read sixteen at a time, WORKGROUP apart, all under way before the first is used:
// keys of the numbers four(v), four(v + 4 WORKGROUP), .., the lowest where they are past the end.
struct Sixteen { a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32> }
const SIXTEEN: vec4<u32> = vec4<u32>(0u, 4u, 8u, 12u); // fours a to d of an invocation, in units of WORKGROUP

fn four(v: u32) -> vec4<u32> { return vec4<u32>(v) + vec4<u32>(0u, 1u, 2u, 3u) * WORKGROUP; }
// `row_number` is the kernel's: the number at an index of its binding.
fn row_four(row: u32, v: u32, length: u32) -> vec4<f32> {
  let at = vec4<u32>(row) + min(four(v), vec4<u32>(length - 1u));
  return vec4<f32>(row_number(at.x), row_number(at.y), row_number(at.z), row_number(at.w));
}
fn row_keys_of(numbers: vec4<f32>, v: u32, length: u32) -> vec4<u32> {
  return select(vec4<u32>(), keys_of(numbers), four(v) < vec4<u32>(length));
}
fn row_keys(row: u32, v: u32, length: u32) -> Sixteen {
  let at = vec4<u32>(v) + SIXTEEN * WORKGROUP;
  let a = row_four(row, at.x, length);
  let b = row_four(row, at.y, length);
  let c = row_four(row, at.z, length);
  let d = row_four(row, at.w, length);
  return Sixteen(
    row_keys_of(a, at.x, length), row_keys_of(b, at.y, length),
    row_keys_of(c, at.z, length), row_keys_of(d, at.w, length),
  );
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
// The best of sixteen and `best`; where numbers are equal, the lowest id.
fn better16(best: Best, keys: Sixteen, v: u32) -> Best {
  let at = vec4<u32>(v) + SIXTEEN * WORKGROUP;
  let low = better4(better4(best, keys.a, four(at.x)), keys.b, four(at.y));
  let high = better4(better4(best, keys.c, four(at.z)), keys.d, four(at.w));
  return better(low, high);
}

var<workgroup> best_of: array<Best, WORKGROUP>;
var<workgroup> best_parts: array<Best, 64>;

// The workgroup's best, in two levels as reduce_sum goes. Every invocation must call; all get it.
fn reduce_best(lane: u32, mine: Best) -> Best {
  best_of[lane] = mine;
  workgroupBarrier();
  let part = WORKGROUP / 16u;
  if (lane < part) {
    let low = better(best_four(lane, part), best_four(lane + 4u * part, part));
    let high = better(best_four(lane + 8u * part, part), best_four(lane + 12u * part, part));
    best_parts[lane] = better(low, high);
  }
  workgroupBarrier();
  var best = best_parts[0];
  for (var i = 0u; i < part; i = i + 4u) {
    let at = min(vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(part - 1u));
    let low = better(best_parts[at.x], best_parts[at.y]);
    best = better(best, better(low, better(best_parts[at.z], best_parts[at.w])));
  }
  return best;
}

fn best_four(at: u32, apart: u32) -> Best {
  let low = better(best_of[at], best_of[at + apart]);
  return better(low, better(best_of[at + 2u * apart], best_of[at + 3u * apart]));
}
