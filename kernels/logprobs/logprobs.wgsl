// log p_v = x_v - log sum_u exp(x_u) of row r's logits x, before temperature, bias and penalties:
// of the drawn token (or of the row's target) into results[r][1], and of the n most likely tokens, lowest id first
// where they are equal, into results[r][4..]; kernels/sample/sample.wgsl describes a result and field 13, n.
// One workgroup a row; rows that want no log probabilities are left. Each of the n is one pass over the row.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [R][VOCAB]
@group(0) @binding(2) var<storage, read_write> results: array<u32>; // [R][48]
override VOCAB: u32;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let r = wid.x;
  let wanted = sample_word(r, 13u);
  if (wanted == NONE) { return; }
  let row = r * VOCAB;
  var last = next_best(lane, row, Best(NONE, 0u));
  let top = number_of(last.key);
  var mine = 0.0;
  for (var v = lane; v < VOCAB; v = v + 4u * WORKGROUP) {
    let keys = row_keys(row, v);
    let weights = exp(max(numbers_of(keys) - vec4<f32>(top), vec4<f32>(-200.0)));
    mine = mine + dot(select(vec4<f32>(), weights, keys >= vec4<u32>(KEY_LEAST)), vec4<f32>(1.0));
  }
  let log_sum = log(reduce_sum(lane, mine));
  let to = r * 48u;
  let count = min(min(wanted, 20u), VOCAB);
  if (lane == 0u) {
    var token = sample_word(r, 14u);
    if (token == NONE) { token = results[to]; }
    var logprob = 0.0;
    if (token < VOCAB) { logprob = logits[row + token] - top - log_sum; }
    results[to + 1u] = bitcast<u32>(logprob);
    results[to + 3u] = count;
  }
  for (var i = 0u; i < count; i = i + 1u) {
    if (i > 0u) { last = next_best(lane, row, last); }
    if (lane == 0u) {
      results[to + 4u + i] = last.id;
      results[to + 24u + i] = bitcast<u32>(logits[row + last.id] - top - log_sum);
    }
  }
}

// The best that comes after `last`.
fn next_best(lane: u32, row: u32, last: Best) -> Best {
  var best = Best(0u, VOCAB - 1u);
  for (var v = lane; v < VOCAB; v = v + 4u * WORKGROUP) {
    let keys = row_keys(row, v);
    let ids = four(v);
    let equal = (keys == vec4<u32>(last.key)) & (ids > vec4<u32>(last.id));
    let after = (keys < vec4<u32>(last.key)) | equal;
    best = better4(best, select(vec4<u32>(), keys, after), select(vec4<u32>(VOCAB - 1u), ids, after));
  }
  return reduce_best(lane, best);
}

fn row_keys(row: u32, v: u32) -> vec4<u32> {
  let at = vec4<u32>(row) + four_within(v, VOCAB);
  return row_keys_of(vec4<f32>(logits[at.x], logits[at.y], logits[at.z], logits[at.w]), v, VOCAB);
}
