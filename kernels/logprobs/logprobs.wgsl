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
  for (var v = lane; v < VOCAB; v = v + 16u * WORKGROUP) {
    let keys = row_keys(row, v, VOCAB);
    mine = mine + weight_of(keys.a, top) + weight_of(keys.b, top) + weight_of(keys.c, top) + weight_of(keys.d, top);
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
  for (var v = lane; v < VOCAB; v = v + 16u * WORKGROUP) {
    let keys = row_keys(row, v, VOCAB);
    let at = vec4<u32>(v) + SIXTEEN * WORKGROUP;
    best = better_after(best, keys.a, four(at.x), last);
    best = better_after(best, keys.b, four(at.y), last);
    best = better_after(best, keys.c, four(at.z), last);
    best = better_after(best, keys.d, four(at.w), last);
  }
  return reduce_best(lane, best);
}

fn better_after(best: Best, keys: vec4<u32>, ids: vec4<u32>, last: Best) -> Best {
  let equal = (keys == vec4<u32>(last.key)) & (ids > vec4<u32>(last.id));
  let after = (keys < vec4<u32>(last.key)) | equal;
  return better4(best, select(vec4<u32>(), keys, after), select(vec4<u32>(VOCAB - 1u), ids, after));
}

// Sum of exp(x - top) over four numbers; -inf and NaN weigh nothing.
fn weight_of(keys: vec4<u32>, top: f32) -> f32 {
  let weights = exp(max(numbers_of(keys) - vec4<f32>(top), vec4<f32>(-200.0)));
  return dot(select(vec4<f32>(), weights, keys >= vec4<u32>(KEY_LEAST)), vec4<f32>(1.0));
}

fn row_number(at: u32) -> f32 { return logits[at]; }
