/** Test files that run in processes of their own, one process after another, `beside` of them at a time. */
export interface TestJobs {
  readonly jobs: readonly (readonly string[])[];
  readonly beside: number;
}

const SERVERS = "tests/end_to_end/";
/** Of the servers' tests those that work more than they wait. */
export const WITH_THE_OTHERS = ["prefix_cache_test.ts", "recovery_test.ts"].map((name) =>
  SERVERS + name
);
/** What takes long begins first, the longest in front. */
export const LONG = [
  "tests/bench/smoke_test.ts",
  "tests/kernels/linear_test.ts",
  "tests/end_to_end/golden_test.ts",
  "tests/actors/executor/golden_test.ts",
  "tests/soak/soak_test.ts",
];
/** Files of a process, where there are many processors: one that starts takes a second or two. */
const TOGETHER = 6;
const MOST_BESIDE = 8;

/**
 * Shares the suite out. On few processors in two halves: one runs beside the other, tests of whole servers, which wait
 * for them as often as they work. On many, by what takes long and by handfuls.
 */
export function testJobs(files: readonly string[], processors: number): TestJobs {
  if (processors < 6) {
    const apart = (file: string) => file.startsWith(SERVERS) && !WITH_THE_OTHERS.includes(file);
    return { jobs: [files.filter(apart), files.filter((file) => !apart(file))], beside: 2 };
  }
  const long = LONG.filter((file) => files.includes(file));
  const servers = files.filter((file) => file.startsWith(SERVERS) && !LONG.includes(file));
  const alone = [...long, ...servers];
  const rest = files.filter((file) => !alone.includes(file));
  const handfuls = Math.ceil(rest.length / TOGETHER);
  const dealt = Array.from(
    { length: handfuls },
    (_, i) => rest.filter((_, j) => j % handfuls === i),
  );
  return {
    jobs: [...alone.map((file) => [file]), ...dealt],
    beside: Math.min(MOST_BESIDE, processors >> 1),
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
