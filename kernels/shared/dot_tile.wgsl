// Four weight rows against four rows of x, eight columns at a time, and the sum over 32 lanes.
// Needs: unpack.wgsl; binding `x: array<vec4<f32>>` of rows of IN; override IN; 128 invocations a workgroup.

// One vec4 a weight row; its components are the four rows of x.
struct Tile { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32> }

fn dot_tile(acc: Tile, w0: Eight, w1: Eight, w2: Eight, w3: Eight, rows: vec4<u32>, k8: u32) -> Tile {
  let at = rows * vec4<u32>(IN / 4u) + vec4<u32>(k8 * 2u);
  let x0 = Eight(x[at.x], x[at.x + 1u]);
  let x1 = Eight(x[at.y], x[at.y + 1u]);
  let x2 = Eight(x[at.z], x[at.z + 1u]);
  let x3 = Eight(x[at.w], x[at.w + 1u]);
  return Tile(
    acc.r0 + vec4<f32>(dot8(w0, x0), dot8(w0, x1), dot8(w0, x2), dot8(w0, x3)),
    acc.r1 + vec4<f32>(dot8(w1, x0), dot8(w1, x1), dot8(w1, x2), dot8(w1, x3)),
    acc.r2 + vec4<f32>(dot8(w2, x0), dot8(w2, x1), dot8(w2, x2), dot8(w2, x3)),
    acc.r3 + vec4<f32>(dot8(w3, x0), dot8(w3, x1), dot8(w3, x2), dot8(w3, x3)),
  );
}

var<workgroup> tile_scratch: array<vec4<f32>, 512>; // [128 lanes][4 weight rows]

// Sums over each group of 32 lanes. Invocation i < 64 gets the value of group i / 16, weight row
// (i / 4) % 4, x row i % 4; the others get 0.
fn reduce_tile(lane: u32, acc: Tile) -> f32 {
  workgroupBarrier();
  tile_scratch[lane] = acc.r0;
  tile_scratch[128u + lane] = acc.r1;
  tile_scratch[256u + lane] = acc.r2;
  tile_scratch[384u + lane] = acc.r3;
  workgroupBarrier();
  var sum = 0.0;
  if (lane < 64u) {
    let start = ((lane / 4u) % 4u) * 128u + (lane / 16u) * 32u;
    for (var i = 0u; i < 32u; i = i + 1u) { sum = sum + tile_scratch[start + i][lane % 4u]; }
  }
  return sum;
}
