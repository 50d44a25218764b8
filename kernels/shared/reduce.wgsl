// Sums and maxima over a workgroup of WORKGROUP invocations (a power of two, at most 1024).
// Every invocation must call; all get the result.
override WORKGROUP: u32;
var<workgroup> reduce_scratch: array<f32, 1024>;

fn reduce_sum(lane: u32, value: f32) -> f32 {
  workgroupBarrier();
  reduce_scratch[lane] = value;
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
    if (lane < half) { reduce_scratch[lane] = reduce_scratch[lane] + reduce_scratch[lane + half]; }
    workgroupBarrier();
  }
  return reduce_scratch[0];
}

fn reduce_max(lane: u32, value: f32) -> f32 {
  workgroupBarrier();
  reduce_scratch[lane] = value;
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
    if (lane < half) { reduce_scratch[lane] = max(reduce_scratch[lane], reduce_scratch[lane + half]); }
    workgroupBarrier();
  }
  return reduce_scratch[0];
}
