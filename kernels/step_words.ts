/** Words of a step before its tables: offsets and counts in the order of shared/step.wgsl. */
export const STEP_HEADER_WORDS = 28;
export const NONE = 0xffff_ffff;
export const FROM_SLOT = 0x8000_0000;
/** Marks a work item of decode attention that has all keys of its token. */
export const ALONE = 0x8000_0000;
/** Pages of the first slab where there is no second (shared/pool.wgsl). */
export const ONE_SLAB = 0xffff_ffff;
export const SAMPLE_WORDS = 16;

/** The tables of one step, each a flat list of 32-bit words; see shared/step.wgsl for the fields. */
export interface StepTables {
  readonly tokenCount: number;
  readonly routesPerToken: number;
  readonly logitRows: number;
  /** [T][4]: source, position, index of the token's block table, unused. */
  readonly tokens: readonly number[];
  /** Block tables: lists of page ids. */
  readonly blockTables: readonly (readonly number[])[];
  /** [T][K][2]: image page and weight as f32 bits. */
  readonly routes: readonly number[];
  readonly headRoutes: readonly number[];
  /**
   * [items][4]: token, with ALONE where it is the token's only one; keys; the last is replaced by the token's block
   * table's word offset. [rows][4], of tokens with several items.
   */
  readonly decodeItems: readonly number[];
  readonly decodeRows: readonly number[];
  /** [tiles][2]. */
  readonly prefillTiles: readonly number[];
  readonly logitTokens: readonly number[];
  /** [R][16]; field 11 is an index into `biases`, replaced by its word offset. */
  readonly samples: readonly number[];
  readonly biases: readonly (readonly number[])[];
  /** [7 modules][items][4] and the entries that they name; those of the head are all for lm_head. */
  readonly shrinkItems: readonly (readonly number[])[];
  readonly shrinkEntries: readonly number[];
  readonly headShrinkItems: readonly number[];
  readonly headShrinkEntries: readonly number[];
}

/** In how many planes each projection leaves its sums (linear_matrix): what follows adds them up. */
export interface StepPlanes {
  readonly qkv: number;
  readonly o: number;
  readonly gateUp: number;
  readonly down: number;
}

const ONE_PLANE: StepPlanes = { qkv: 1, o: 1, gateUp: 1, down: 1 };

/** Writes the tables into `words` and returns how many words were used. */
export function writeStep(words: Uint32Array, step: StepTables, planes = ONE_PLANE): number {
  let at = STEP_HEADER_WORDS;
  const put = (table: readonly number[]): number => {
    const start = at;
    if (start + table.length > words.length) {
      throw new RangeError(
        `Cannot write step: its tables need more than the step buffer's ${words.length} words, ` +
          `received ${start + table.length}`,
      );
    }
    words.set(table, start);
    at += table.length;
    return start;
  };
  const tables = step.blockTables.map(put);
  const biases = step.biases.map(put);
  words[0] = step.tokenCount;
  words[1] = step.routesPerToken;
  words[2] = step.logitRows;
  const tokens = words[3] = put(step.tokens);
  words[4] = put(step.routes);
  words[5] = put(step.headRoutes);
  const items = words[6] = put(step.decodeItems);
  words[7] = put(step.decodeRows);
  words[8] = put(step.prefillTiles);
  words[9] = put(step.logitTokens);
  const samples = words[10] = put(step.samples);
  words[11] = at;
  step.shrinkItems.forEach((items, module) => {
    words[20 + module] = (put(items) - (words[11] ?? 0)) / 4;
    words[21 + module] = (at - (words[11] ?? 0)) / 4;
  });
  words[12] = put(step.shrinkEntries);
  words[13] = put(step.headShrinkItems);
  words[14] = step.headShrinkItems.length / 4;
  words[15] = put(step.headShrinkEntries);
  words.set([planes.qkv, planes.o, planes.gateUp, planes.down], 16);
  for (let t = 0; t < step.tokenCount; t++) {
    words[tokens + t * 4 + 2] = tables[words[tokens + t * 4 + 2] ?? 0] ?? 0;
  }
  for (let i = items; i < items + step.decodeItems.length; i += 4) {
    words[i + 3] = words[tokens + ((words[i] ?? 0) % ALONE) * 4 + 2] ?? 0;
  }
  for (let r = 0; r < step.logitRows; r++) {
    const field = samples + r * SAMPLE_WORDS + 11;
    words[field] = biases[words[field] ?? 0] ?? 0;
  }
  return at;
}

const bits = new DataView(new ArrayBuffer(8));
/** The bits of a number rounded to f32. */
export function f32Bits(value: number): number {
  bits.setFloat32(0, value);
  return bits.getUint32(0);
}
