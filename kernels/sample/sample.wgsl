// results[r] = the token drawn from scores[r] (logits after kernels/penalize), one workgroup a row.
//   temperature < 1e-5: argmax, lowest id on ties. Otherwise argmax_v s_v / temperature + G_v over the tokens kept,
//   G_v = -log(-log(U_v)) with U_v a hash of (seed, position, v): a draw depends on these and the scores alone.
// Kept, in this order (vLLM's), softmax taken over what the filter before has left:
//   min_p: p_v >= min_p * max p.  top_k: s_v >= the k-th largest s, so all that equal it.
//   top_p: the probability of all tokens with a higher score is < top_p, so again all ties or none.
// -inf and NaN are never drawn; where there is nothing else no token is, and last_token stays. top_p adds
// probabilities in units of 2^-31, as integers, so that the sum does not depend on the order of addition.
//
// Words of row r's parameters, sample_word(r, field):
//   0 slot                  1 position of the token to draw    2 temperature f32   3 top_k, 0: off
//   4 top_p f32, 1: off     5 min_p f32, 0: off                6 seed low          7 seed high
//   8 presence f32          9 frequency f32                   10 repetition f32, 1: off
//  11 word of the list of biases [token, f32] in the step buffer                  12 number of biases
//  13 number of top log probabilities, at most 20; NONE: no log probabilities at all
//  14 token whose log probability is wanted instead of the drawn one's, or NONE
//  15 flags: 1 draw, and write last_token[slot]; 2 penalties in use, so count the token in counts[slot]
// Words of a result: 0 token, NONE if none was drawn; 1 log probability f32; 2 0; 3 number of top entries, NONE
// without log probabilities; 4..23 top tokens, 24..43 their log probabilities. 1 and 3.. are kernels/logprobs' work.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> scores: array<f32>; // [R][VOCAB]
@group(0) @binding(2) var<storage, read_write> counts: array<u32>; // [slots][VOCAB], see kernels/penalize
@group(0) @binding(3) var<storage, read_write> last_token: array<u32>; // [slots]
@group(0) @binding(4) var<storage, read_write> results: array<u32>; // [R][48]
override VOCAB: u32;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let r = wid.x;
  let flags = sample_word(r, 15u);
  var token = NONE;
  if ((flags & 1u) != 0u) { token = draw(r, lane); }
  if (lane != 0u) { return; }
  results[r * 48u] = token;
  results[r * 48u + 1u] = 0u;
  results[r * 48u + 2u] = 0u;
  results[r * 48u + 3u] = NONE;
  if (token == NONE) { return; }
  let slot = sample_word(r, 0u);
  last_token[slot] = token;
  if ((flags & 2u) != 0u) {
    let at = slot * VOCAB + token;
    counts[at] = counts[at] + 1u;
  }
}

fn draw(r: u32, lane: u32) -> u32 {
  let row = r * VOCAB;
  var best = Best(0u, 0u);
  for (var v = lane; v < VOCAB; v = v + 16u * WORKGROUP) { best = better16(best, row_keys(row, v, VOCAB), v); }
  best = reduce_best(lane, best);
  let temperature = sample_f32(r, 2u);
  if (temperature < 1.0e-5) { return select(best.id, NONE, best.key < KEY_LEAST); }

  let top = number_of(best.key);
  var floor = KEY_LEAST;
  let min_p = sample_f32(r, 5u);
  if (min_p > 0.0) {
    let cut = key_of(max(top + temperature * log(min_p), -3.4e38));
    floor = max(floor, min(cut, best.key));
  }
  let top_k = sample_word(r, 3u);
  if (top_k > 0u && top_k < VOCAB) {
    floor = select_floor(lane, row, floor, Goal(top_k, 1.0, false, top, temperature, 0.0));
  }
  let top_p = sample_f32(r, 4u);
  if (top_p < 1.0) {
    var mine = 0.0;
    let lowest = vec4<u32>(floor);
    for (var v = lane; v < VOCAB; v = v + 16u * WORKGROUP) {
      let keys = row_keys(row, v, VOCAB);
      let low = mass_of(keys.a, lowest, top, temperature) + mass_of(keys.b, lowest, top, temperature);
      let high = mass_of(keys.c, lowest, top, temperature) + mass_of(keys.d, lowest, top, temperature);
      mine = mine + dot(low + high, vec4<f32>(1.0));
    }
    let unit = 2147483648.0 / reduce_sum(lane, mine);
    floor = select_floor(lane, row, floor, Goal(0u, top_p, true, top, temperature, unit));
  }

  let noise = noise_keys(r);
  best = Best(0u, 0u);
  let draw_from = Draw(noise, floor, top, temperature);
  for (var v = lane; v < VOCAB; v = v + 16u * WORKGROUP) {
    let keys = row_keys(row, v, VOCAB);
    let at = vec4<u32>(v) + SIXTEEN * WORKGROUP;
    let noisy = Sixteen(
      noisy_keys(draw_from, keys.a, four(at.x)), noisy_keys(draw_from, keys.b, four(at.y)),
      noisy_keys(draw_from, keys.c, four(at.z)), noisy_keys(draw_from, keys.d, four(at.w)),
    );
    best = better16(best, noisy, v);
  }
  best = reduce_best(lane, best);
  return select(best.id, NONE, best.key == 0u);
}

fn row_number(at: u32) -> f32 { return scores[at]; }

// (s - max s) / temperature; below -200 a probability is nothing.
fn exponents(keys: vec4<u32>, top: f32, temperature: f32) -> vec4<f32> {
  let below = max(numbers_of(keys) - vec4<f32>(top), vec4<f32>(-3.4e38));
  return max(below / temperature, vec4<f32>(-200.0));
}
fn weights_of(keys: vec4<u32>, top: f32, temperature: f32) -> vec4<f32> {
  return exp(exponents(keys, top, temperature));
}
fn mass_of(keys: vec4<u32>, floor: vec4<u32>, top: f32, temperature: f32) -> vec4<f32> {
  return select(vec4<f32>(), weights_of(keys, top, temperature), keys >= floor);
}

// What the last pass ranks: exponents with noise added, of the keys that are kept.
struct Draw { noise: vec2<u32>, floor: u32, top: f32, temperature: f32 }
fn noisy_keys(draw: Draw, keys: vec4<u32>, ids: vec4<u32>) -> vec4<u32> {
  let noisy = keys_of(exponents(keys, draw.top, draw.temperature) + gumbel(draw.noise, ids));
  return select(vec4<u32>(), noisy, keys >= vec4<u32>(draw.floor));
}

// What select_floor looks for: the count-th largest key, or the key at which the mass of all larger ones
// reaches `share` of the total; `unit` turns exp(exponent) into integer mass.
struct Goal { count: u32, share: f32, mass: bool, top: f32, temperature: f32, unit: f32 }

var<workgroup> bins: array<atomic<u32>, 2048>;
var<workgroup> above: array<u32, WORKGROUP>;
var<workgroup> found: vec2<u32>; // digit, and what lies above it

// Bits of the keys that a round tells apart, of keys that are at least `floor` and begin with `prefix`.
struct Digit { prefix: u32, shift: u32, width: u32, floor: u32 }

fn count_keys(keys: vec4<u32>, digit: Digit, goal: Goal) {
  var mass = vec4<u32>(1u);
  if (goal.mass) { mass = vec4<u32>(round(weights_of(keys, goal.top, goal.temperature) * goal.unit)); }
  // Shifting by 32 is no shift at all, so the first round, which has no prefix, shifts in two steps.
  let prefixes = (keys >> vec4<u32>(digit.shift)) >> vec4<u32>(digit.width);
  let counts_here = (keys >= vec4<u32>(digit.floor)) & (prefixes == vec4<u32>(digit.prefix));
  mass = select(vec4<u32>(), mass, counts_here);
  let digits = (keys >> vec4<u32>(digit.shift)) & vec4<u32>((1u << digit.width) - 1u);
  if (mass.x > 0u) { atomicAdd(&bins[digits.x], mass.x); }
  if (mass.y > 0u) { atomicAdd(&bins[digits.y], mass.y); }
  if (mass.z > 0u) { atomicAdd(&bins[digits.z], mass.z); }
  if (mass.w > 0u) { atomicAdd(&bins[digits.w], mass.w); }
}

// The lowest key kept, at least `floor`: a radix select, 11, 11 and 10 bits at a time.
fn select_floor(lane: u32, row: u32, floor: u32, goal: Goal) -> u32 {
  let share = 2048u / WORKGROUP; // bins an invocation
  var prefix = 0u;
  var target_sum = goal.count;
  var shift = 21u;
  var width = 11u;
  for (var round_no = 0u; round_no < 3u; round_no = round_no + 1u) {
    for (var i = lane; i < 2048u; i = i + WORKGROUP) { atomicStore(&bins[i], 0u); }
    if (lane == 0u) { found = vec2<u32>(); }
    workgroupBarrier();
    let digit = Digit(prefix, shift, width, floor);
    for (var v = lane; v < VOCAB; v = v + 16u * WORKGROUP) {
      let keys = row_keys(row, v, VOCAB);
      count_keys(keys.a, digit, goal);
      count_keys(keys.b, digit, goal);
      count_keys(keys.c, digit, goal);
      count_keys(keys.d, digit, goal);
    }
    workgroupBarrier();
    var sum = 0u;
    for (var i = 0u; i < share; i = i + 1u) { sum = sum + atomicLoad(&bins[lane * share + i]); }
    above[lane] = sum;
    workgroupBarrier();
    // Sums of this and all higher shares of the bins.
    for (var d = 1u; d < WORKGROUP; d = d * 2u) {
      var more = 0u;
      if (lane + d < WORKGROUP) { more = above[lane + d]; }
      workgroupBarrier();
      above[lane] = above[lane] + more;
      workgroupBarrier();
    }
    let total = above[0];
    if (round_no == 0u) {
      if (goal.mass) { target_sum = max(1u, u32(ceil(goal.share * f32(total)))); }
      target_sum = min(target_sum, total);
    }
    var higher = above[lane] - sum;
    if (higher < target_sum && target_sum <= above[lane]) {
      for (var i = share; i > 0u; i = i - 1u) {
        let bin = lane * share + i - 1u;
        let here = atomicLoad(&bins[bin]);
        if (higher < target_sum && target_sum <= higher + here) { found = vec2<u32>(bin, higher); }
        higher = higher + here;
      }
    }
    workgroupBarrier();
    prefix = (prefix << width) | found.x;
    target_sum = target_sum - found.y;
    workgroupBarrier();
    if (round_no == 1u) { width = 10u; }
    shift = shift - width;
  }
  return max(floor, prefix);
}

// Two words that only the seed and the position decide.
fn noise_keys(r: u32) -> vec2<u32> {
  var keys = vec2<u32>(0x9e3779b9u, 0x7f4a7c15u);
  keys = mix32(keys ^ vec2<u32>(sample_word(r, 6u))) + vec2<u32>(0x85ebca6bu, 0xc2b2ae35u);
  keys = mix32(keys ^ vec2<u32>(sample_word(r, 7u))) + vec2<u32>(0x27d4eb2fu, 0x165667b1u);
  return mix32(keys ^ vec2<u32>(sample_word(r, 1u)));
}

// A bijection of 32 bits that spreads every input bit (Wellons' lowbias32, improved constants).
fn mix32(word: vec2<u32>) -> vec2<u32> {
  var x = word;
  x = (x ^ (x >> vec2<u32>(16u))) * vec2<u32>(0x21f0aaadu);
  x = (x ^ (x >> vec2<u32>(15u))) * vec2<u32>(0xd35a2d97u);
  return x ^ (x >> vec2<u32>(15u));
}
fn mix_pair(low: vec2<u32>, high: vec2<u32>, key: u32) -> vec4<u32> {
  return vec4<u32>(mix32(low ^ vec2<u32>(key)), mix32(high ^ vec2<u32>(key)));
}

// -log(E), E = -log(1 - U) exponential: it is small E that win, and 1 - U would lose their digits, so a series.
fn gumbel(noise: vec2<u32>, ids: vec4<u32>) -> vec4<f32> {
  let once = mix_pair(ids.xy, ids.zw, noise.x);
  let hash = mix_pair(once.xy, once.zw, noise.y);
  let u = min((vec4<f32>(hash) + 0.5) * 2.3283064e-10, vec4<f32>(0.9999999));
  let series = u * (1.0 + u * (0.5 + u * (0.33333333 + u * 0.25)));
  return -log(select(-log(1.0 - u), series, u < vec4<f32>(0.03)));
}
