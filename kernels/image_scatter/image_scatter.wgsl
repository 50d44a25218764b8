// pool[list[i]] = staged page of copy c, for the pages i of copy c that a slice of an image holds. A slice is a run
// of pages over all copies, one after another: page i of copy c is page c * PAGES + i of the image.
// One workgroup a page and a part of it; the page list (chunk 1 on of page 0, models/adapter_image.ts) is written
// here too, from the job.
@group(0) @binding(0) var<storage, read> copy_index: array<u32>;    // [0]: c, the copy that these pools hold
@group(0) @binding(1) var<storage, read> job: array<u32>;           // first page, pages, PAGES, 0, list[PAGES]
@group(0) @binding(2) var<storage, read> staged: array<vec4<u32>>;  // [pages][PAGE_VECS]
@group(0) @binding(3) var<storage, read_write> pool0: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> pool1: array<vec4<u32>>;
override WORKGROUP: u32;
const LIST_VEC: u32 = 64u;

fn list_entry(i: u32) -> u32 {
  if (i < job[2]) { return job[4u + i]; }
  return 0u;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let pages = job[2];
  let start = copy_index[0] * pages;
  // The slice's first page of this copy, and how many follow.
  let i = max(job[0], start) - start + wid.y;
  let end = min(job[0] + job[1], start + pages);
  let vec = wid.x * WORKGROUP + lane;
  if (start + i >= end || vec >= PAGE_VECS) { return; }
  var value = staged[(start + i - job[0]) * PAGE_VECS + vec];
  if (i == 0u && vec >= LIST_VEC && (vec - LIST_VEC) * 4u < pages) {
    let entry = (vec - LIST_VEC) * 4u;
    value = vec4<u32>(
      list_entry(entry), list_entry(entry + 1u), list_entry(entry + 2u), list_entry(entry + 3u),
    );
  }
  pool_store(job[4u + i], vec, value);
}
