// scores[r, v] = x - frequency * c - presence * [c > 0],  x = y / repetition where y > 0, else y * repetition,
// if v occurs in the prompt or was generated, else x = y;  y = logits[r, v] + bias[v]
// c: times v was generated, the low 31 bits of counts[slot, v]; bit 31: v occurs in the prompt.
// The order is vLLM's: bias, then repetition, frequency, presence. A row without them is copied.
// One workgroup: 1024 tokens of one row; then it does again those that the row's list of biases names.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [R][VOCAB]
@group(0) @binding(2) var<storage, read> counts: array<u32>; // [slots][VOCAB]
@group(0) @binding(3) var<storage, read_write> scores: array<f32>; // [R][VOCAB]
override VOCAB: u32;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let r = wid.y;
  let first = wid.x * 1024u;
  let end = min(first + 1024u, VOCAB);
  for (var v = first + lane; v < end; v = v + 256u) {
    scores[r * VOCAB + v] = penalized(r, v, logits[r * VOCAB + v]);
  }
  let biases = sample_word(r, 12u);
  if (biases == 0u) { return; }
  storageBarrier();
  for (var i = lane; i < biases; i = i + 256u) {
    let pair = sample_word(r, 11u) + i * 2u;
    let v = step[pair];
    if (v >= first && v < end) {
      scores[r * VOCAB + v] = penalized(r, v, logits[r * VOCAB + v] + bitcast<f32>(step[pair + 1u]));
    }
  }
}

fn penalized(r: u32, v: u32, y: f32) -> f32 {
  if ((sample_word(r, 15u) & 2u) == 0u) { return y; }
  let seen = counts[sample_word(r, 0u) * VOCAB + v];
  if (seen == 0u) { return y; }
  let repetition = sample_f32(r, 10u);
  let x = select(y * repetition, y / repetition, y > 0.0);
  let generated = f32(seen & 0x7fffffffu);
  return x - sample_f32(r, 9u) * generated - select(0.0, sample_f32(r, 8u), generated > 0.0);
}
