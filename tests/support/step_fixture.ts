import { type StepTables, writeStep } from "../../kernels/step_words.ts";

/** The words of a step that has only the tables named; the others are empty. */
export function stepWords(tables: Partial<StepTables>): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(1 << 16);
  const used = writeStep(words, {
    tokenCount: 0,
    routesPerToken: 0,
    logitRows: 0,
    tokens: [],
    blockTables: [],
    routes: [],
    headRoutes: [],
    decodeItems: [],
    decodeRows: [],
    prefillTiles: [],
    logitTokens: [],
    samples: [],
    biases: [],
    shrinkItems: [[], [], [], [], [], [], []],
    shrinkEntries: [],
    headShrinkItems: [],
    headShrinkEntries: [],
    ...tables,
  });
  return words.slice(0, used);
}
