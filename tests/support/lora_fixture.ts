import { f32Bits, NONE, type StepTables, writeStep } from "../../kernels/step_words.ts";
import { type ModuleFixture, writeImage } from "./image_fixture.ts";
import { shuffled } from "./random.ts";

/** Adapters in a two-slab pool at scattered pages, and a routing of tokens to them. */
export interface LoraFixture {
  readonly pageBytes: number;
  readonly slabPages: number;
  readonly slabs: readonly [Uint32Array<ArrayBuffer>, Uint32Array<ArrayBuffer>];
  readonly images: readonly (readonly number[])[];
}

export const TEST_PAGE_BYTES = 4096;

/** `adapters[a][m]`: module m of adapter a. */
export function placeAdapters(
  random: () => number,
  adapters: readonly (readonly (ModuleFixture | null)[])[],
  options: { pages?: number; embed?: boolean } = {},
): LoraFixture {
  const pages = options.pages ?? 256;
  const pool = new Uint32Array((pages * TEST_PAGE_BYTES) / 4);
  const free = shuffled(random, pages);
  const take = () => {
    const page = free.pop();
    if (page === undefined) {
      throw new RangeError("Cannot place adapters: the test's pool is too small");
    }
    return page;
  };
  const images = adapters.map((modules) =>
    writeImage(pool, TEST_PAGE_BYTES, take, modules, options.embed)
  );
  const slabPages = Math.floor(pages / 2);
  const cut = (slabPages * TEST_PAGE_BYTES) / 4;
  return {
    pageBytes: TEST_PAGE_BYTES,
    slabPages,
    slabs: [pool.slice(0, cut), pool.slice(cut)],
    images,
  };
}

/** A token's adapters with their weights. */
export type Routing = readonly (readonly { readonly adapter: number; readonly weight: number }[])[];

/** One adapter a token with weight 1, or none. */
export const routeEach = (assigned: readonly (number | null)[]): Routing =>
  assigned.map((adapter) => adapter === null ? [] : [{ adapter, weight: 1 }]);

/** Each token's adapter at three quarters, and of the next of `count` adapters minus a half. */
export const routePairs = (assigned: readonly (number | null)[], count: number): Routing =>
  assigned.map((adapter) =>
    adapter === null
      ? []
      : [{ adapter, weight: 0.75 }, { adapter: (adapter + 1) % count, weight: -0.5 }]
  );

/** A step's words for kernels that look at tokens and routes only; shrink items of up to four tokens. */
export function loraStep(
  fixture: LoraFixture,
  routing: Routing,
  maxRank: number,
  more: Partial<StepTables> & { readonly head?: boolean } = {},
): Uint32Array<ArrayBuffer> {
  const routesPerToken = Math.max(0, ...routing.map((routes) => routes.length));
  const routes: number[] = [];
  const entries = new Map<number, number[]>();
  routing.forEach((entry, t) => {
    for (let k = 0; k < routesPerToken; k++) {
      const route = entry[k];
      const page = route ? fixture.images[route.adapter]?.[0] ?? NONE : NONE;
      routes.push(page, f32Bits(route?.weight ?? 0));
      if (page !== NONE) entries.set(page, [...entries.get(page) ?? [], t * 16 + k]);
    }
  });
  const items: (readonly [page: number, first: number, count: number, group: number])[] = [];
  const shrinkEntries: number[] = [];
  for (const [page, tokens] of entries) {
    for (let i = 0; i < tokens.length; i += 4) {
      const some = tokens.slice(i, i + 4);
      for (let group = 0; group < Math.ceil(maxRank / 16); group++) {
        items.push([page, shrinkEntries.length, some.length, group]);
      }
      shrinkEntries.push(...some);
    }
  }
  const itemsOf = (module: number) =>
    items.flatMap(([page, first, count, group]) => [page, first, count, group + 16 * module]);
  const none = new Array(routes.length).fill(0).map((_, i) => i % 2 ? 0 : NONE);
  const head = more.head ?? false;
  const words = new Uint32Array(1 << 16);
  const used = writeStep(words, {
    tokenCount: routing.length,
    routesPerToken,
    logitRows: 0,
    tokens: routing.flatMap((_, t) => [0, t, 0, 0]),
    blockTables: [[]],
    routes: head ? none : routes,
    headRoutes: head ? routes : none,
    decodeItems: [],
    decodeRows: [],
    prefillTiles: [],
    logitTokens: [],
    samples: [],
    biases: [[]],
    shrinkItems: Array.from({ length: 7 }, (_, module) => head ? [] : itemsOf(module)),
    shrinkEntries: head ? [] : shrinkEntries,
    headShrinkItems: head ? itemsOf(1) : [],
    headShrinkEntries: head ? shrinkEntries : [],
    ...more,
  });
  return words.slice(0, used);
}

/** w * s * (A x): what the shrink leaves for the expand. */
export function shrinkOracle(
  module: ModuleFixture,
  weight: number,
  x: ArrayLike<number>,
): Float64Array {
  const u = new Float64Array(module.rank);
  for (let j = 0; j < module.rank; j++) {
    let sum = 0;
    for (let i = 0; i < module.input; i++) {
      sum += (module.a[j * module.input + i] ?? 0) * (x[i] ?? 0);
    }
    u[j] = weight * module.scale * sum;
  }
  return u;
}

/** g * (base + sum_k B u_k) + sum_k w s b, from u as the kernel reads it. */
export function expandOracle(
  base: ArrayLike<number>,
  parts: readonly { module: ModuleFixture | null; weight: number; u: ArrayLike<number> }[],
): Float64Array {
  const y = Float64Array.from(base);
  for (const { module, weight, u } of parts) {
    if (!module) continue;
    for (let o = 0; o < module.out; o++) {
      let sum = y[o] ?? 0;
      for (let j = 0; j < module.rank; j++) {
        sum += (module.b[j * module.out + o] ?? 0) * (u[j] ?? 0);
      }
      if (module.gain) sum *= module.gain[o] ?? 1;
      if (module.bias) sum += weight * module.scale * (module.bias[o] ?? 0);
      y[o] = sum;
    }
  }
  return y;
}
