import { assert, assertEquals } from "@std/assert";
import { LONG, testFiles, testJobs } from "../../cli/test_jobs.ts";

const files = testFiles("tests");

Deno.test("every test file is in one job, however many processors there are", () => {
  for (const processors of [1, 2, 4, 6, 16, 256]) {
    const { jobs } = testJobs(files, processors);
    assertEquals(jobs.flat().sort(), files.toSorted(), `${processors} processors`);
    assert(jobs.every((job) => job.length > 0));
  }
});

Deno.test("few processors run two large jobs beside each other, many run many small ones", () => {
  const largest = (processors: number) =>
    Math.max(...testJobs(files, processors).jobs.map(({ length }) => length));
  assert(largest(2) > 2 * largest(16));
  assertEquals([1, 2, 6, 16, 256].map((n) => testJobs(files, n).beside), [2, 2, 3, 8, 8]);
});

Deno.test("the files that are named are there, and those that take long begin first", () => {
  assertEquals(LONG.filter((file) => !files.includes(file)), []);
  assertEquals(testJobs(files, 16).jobs.slice(0, LONG.length), LONG.map((file) => [file]));
});
