// A sum, or the largest of numbers that are not negative, over a workgroup of WORKGROUP invocations (a power of two from 16 to 1024), in two levels: sixteen numbers
// an invocation, then what is left of them by all. Every invocation must call; all get the result. A call may follow
// another at once: between reading either array and writing it again lies a barrier.
override WORKGROUP: u32;
var<workgroup> reduce_scratch: array<f32, WORKGROUP>;
var<workgroup> reduce_sums: array<f32, 64>; // zero past WORKGROUP / 16, for nobody writes there

fn reduce_sum(lane: u32, value: f32) -> f32 {
  reduce_scratch[lane] = value;
  workgroupBarrier();
  let part = WORKGROUP / 16u;
  if (lane < part) {
    reduce_sums[lane] = reduce_four(lane, part) + reduce_four(lane + 4u * part, part) +
      reduce_four(lane + 8u * part, part) + reduce_four(lane + 12u * part, part);
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < part; i = i + 8u) {
    let low = (reduce_sums[i] + reduce_sums[i + 1u]) + (reduce_sums[i + 2u] + reduce_sums[i + 3u]);
    let high = (reduce_sums[i + 4u] + reduce_sums[i + 5u]) + (reduce_sums[i + 6u] + reduce_sums[i + 7u]);
    sum = sum + low + high;
  }
  return sum;
}

fn reduce_four(at: u32, apart: u32) -> f32 {
  return (reduce_scratch[at] + reduce_scratch[at + apart]) +
    (reduce_scratch[at + 2u * apart] + reduce_scratch[at + 3u * apart]);
}

fn reduce_max(lane: u32, value: f32) -> f32 {
  reduce_scratch[lane] = value;
  workgroupBarrier();
  let part = WORKGROUP / 16u;
  if (lane < part) {
    var most = reduce_scratch[lane];
    for (var i = lane + part; i < WORKGROUP; i = i + part) { most = max(most, reduce_scratch[i]); }
    reduce_sums[lane] = most;
  }
  workgroupBarrier();
  var most = 0.0;
  for (var i = 0u; i < part; i = i + 1u) { most = max(most, reduce_sums[i]); }
  return most;
}
