// The step buffer: everything the host says about one step, in one upload (kernels/step_words.ts writes it).
// Needs: a binding `step: array<u32>`.

const NONE: u32 = 0xffffffffu;
const FROM_SLOT: u32 = 0x80000000u;

fn step_tokens() -> u32 { return step[0]; }          // T: tokens of all rows, flattened
fn step_routes() -> u32 { return step[1]; }          // K: routing entries a token, 0 when no row has an adapter
fn step_logit_rows() -> u32 { return step[2]; }      // R: rows of logits

// Token t: its id, or FROM_SLOT | slot for the one sampled last in that slot.
fn token_source(t: u32) -> u32 { return step[step[3] + t * 4u]; }
fn token_position(t: u32) -> u32 { return step[step[3] + t * 4u + 1u]; }
// Word of the token's block table within the step buffer: page ids, pagesPerBlock for each 16 tokens.
fn token_table(t: u32) -> u32 { return step[step[3] + t * 4u + 2u]; }

// Routing entry k of token t: first page of an adapter image (NONE: no adapter) and its weight.
fn route_image(t: u32, k: u32) -> u32 { return step[step[4] + (t * step[1] + k) * 2u]; }
fn route_weight(t: u32, k: u32) -> f32 { return bitcast<f32>(step[step[4] + (t * step[1] + k) * 2u + 1u]); }
// The same for images in the head pool (adapters on embed_tokens and lm_head).
fn head_route_image(t: u32, k: u32) -> u32 { return step[step[5] + (t * step[1] + k) * 2u]; }
fn head_route_weight(t: u32, k: u32) -> f32 { return bitcast<f32>(step[step[5] + (t * step[1] + k) * 2u + 1u]); }

// Decode attention, work item i: keys [first, end) of one token's sequence; item i writes partial i, or the result
// where it is alone, for these are all of the token's keys.
fn decode_item_token(i: u32) -> u32 { return step[step[6] + i * 4u] & 0x7fffffffu; }
fn decode_item_alone(i: u32) -> bool { return (step[step[6] + i * 4u] >> 31u) == 1u; }
fn decode_item_first(i: u32) -> u32 { return step[step[6] + i * 4u + 1u]; }
fn decode_item_end(i: u32) -> u32 { return step[step[6] + i * 4u + 2u]; }
// Its token_table, so that a page is one load away.
fn decode_item_table(i: u32) -> u32 { return step[step[6] + i * 4u + 3u]; }
// Decode attention, row i: a token that has several items and these: [first, first + count).
fn decode_row_token(i: u32) -> u32 { return step[step[7] + i * 4u]; }
fn decode_row_first(i: u32) -> u32 { return step[step[7] + i * 4u + 1u]; }
fn decode_row_count(i: u32) -> u32 { return step[step[7] + i * 4u + 2u]; }
// Prefill attention, tile i: `count` tokens of one sequence at consecutive positions from token `first` on.
fn prefill_tile_first(i: u32) -> u32 { return step[step[8] + i * 2u]; }
fn prefill_tile_count(i: u32) -> u32 { return step[step[8] + i * 2u + 1u]; }

// Row r of the logits comes from token logit_token(r).
fn logit_token(r: u32) -> u32 { return step[step[9] + r]; }
// Sampling parameters of logit row r: see kernels/sample/sample.wgsl for the fields.
fn sample_word(r: u32, field: u32) -> u32 { return step[step[10] + r * 16u + field]; }
fn sample_f32(r: u32, field: u32) -> f32 { return bitcast<f32>(sample_word(r, field)); }

// LoRA shrink, work item i: `count` routed tokens of one image, 16 rank rows of a module, from 16 * group on; its last
// field is group + 16 * module.
// Entries name the tokens: row << 4 | k. Items of the head pool count rows of logits, not tokens.
fn shrink_item(i: u32, field: u32) -> u32 { return step[step[11] + i * 4u + field]; }
fn shrink_entry(i: u32) -> u32 { return step[step[12] + i]; }
fn head_shrink_items() -> u32 { return step[14]; }
fn head_shrink_item(i: u32, field: u32) -> u32 { return step[step[13] + i * 4u + field]; }
fn head_shrink_entry(i: u32) -> u32 { return step[step[15] + i]; }
// Items lie in the order of their modules, 0 q to 6 down: the first one of this module, or of one after it.
fn shrink_first(part: u32) -> u32 { return step[20u + part]; }
// Whether some token of this step is routed to an adapter of this module.
fn step_adapts(part: u32) -> bool { return shrink_first(part + 1u) > shrink_first(part); }

// Planes [T][outputs] of sums that a projection of this step has left: 0 qkv, 1 o, 2 gate and up, 3 down.
fn step_planes(projection: u32) -> u32 { return step[16u + projection]; }
