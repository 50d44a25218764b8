import { assert, assertEquals } from "@std/assert";
import { LONG, testFiles, testJobs, WITH_THE_OTHERS } from "../../cli/test_jobs.ts";

const files = testFiles("tests");

Deno.test("every test file is in one job, however many processors there are", () => {
  for (const processors of [1, 2, 4, 6, 16, 256]) {
    const { jobs } = testJobs(files, processors);
    assertEquals(jobs.flat().sort(), files.toSorted(), `${processors} processors`);
    assert(jobs.every((job) => job.length > 0));
  }
});

Deno.test("two processors run two halves beside each other, many take turns at many jobs", () => {
  const of = (processors: number) => {
    const { jobs, beside } = testJobs(files, processors);
    return [jobs.length > 2, beside];
  };
  assertEquals([2, 6, 16, 256].map(of), [[false, 2], [true, 3], [true, 8], [true, 8]]);
});

Deno.test("the files that are named are there, and those that take long begin first", () => {
  assertEquals([...LONG, ...WITH_THE_OTHERS].filter((file) => !files.includes(file)), []);
  assertEquals(testJobs(files, 16).jobs.slice(0, LONG.length), LONG.map((file) => [file]));
});
