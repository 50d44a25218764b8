/** Test files that run in processes of their own, one process after another, `beside` of them at a time. */
export interface TestJobs {
  readonly jobs: readonly (readonly string[])[];
  readonly beside: number;
}

/** What takes long, on some machine or other, begins first and has a process to itself; the longest in front. */
export const LONG = [
  "tests/end_to_end/golden_test.ts",
  "tests/end_to_end/demo_test.ts",
  "tests/actors/executor/golden_test.ts",
  "tests/bench/smoke_test.ts",
  "tests/kernels/linear_test.ts",
  "tests/soak/soak_test.ts",
  "tests/end_to_end/prefix_cache_test.ts",
  "tests/end_to_end/recovery_test.ts",
];
/** Processors that are many. */
const MANY = 6;
/** Other files of one process, where processors are few and where they are many: each that starts takes a second or two. */
const TOGETHER = { few: 20, many: 6 } as const;
const MOST_BESIDE = 8;

/** Shares the suite out: what takes long by itself, the rest by handfuls. */
export function testJobs(files: readonly string[], processors: number): TestJobs {
  const many = processors >= MANY;
  const long = LONG.filter((file) => files.includes(file));
  const rest = files.filter((file) => !long.includes(file));
  const handfuls = Math.ceil(rest.length / (many ? TOGETHER.many : TOGETHER.few));
  const dealt = Array.from(
    { length: handfuls },
    (_, i) => rest.filter((_, j) => j % handfuls === i),
  );
  return {
    jobs: [...long.map((file) => [file]), ...dealt],
    beside: many ? Math.min(MOST_BESIDE, processors >> 1) : 2,
  };
}

/** All test files below a directory, in order of their names. */
export function testFiles(directory: string): string[] {
  const entries = [...Deno.readDirSync(directory)].sort((a, b) => a.name < b.name ? -1 : 1);
  return entries.flatMap(({ name, isDirectory }) => {
    const path = `${directory}/${name}`;
    if (isDirectory) return testFiles(path);
    return name.endsWith("_test.ts") ? [path] : [];
  });
}
