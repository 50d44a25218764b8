import { configure, getConsoleSink } from "@logtape/logtape";

/** Logs of the front go to standard error, warnings and worse only: standard output is for nobody. */
export async function configureLogging(): Promise<void> {
  await configure({
    sinks: { console: getConsoleSink() },
    loggers: [
      { category: "chorus", lowestLevel: "warning", sinks: ["console"] },
      // What becomes of the engine is told by observeEngine(), once.
      { category: ["chorus", "engine"], sinks: [], parentSinks: "override" },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["console"] },
    ],
  });
}
