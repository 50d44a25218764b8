/** A kernel's contract: what its .wgsl binds, in binding order, and which constants specialise it. */
export interface Kernel<Binding extends string = string, Constant extends string = string> {
  readonly name: string;
  /** The .wgsl text; binding numbers follow the order of `bindings`, all in group 0. */
  readonly source: string;
  /** Shared files it uses, appended, so that compile errors keep the file's own line numbers. */
  readonly includes: readonly string[];
  readonly bindings: Readonly<Record<Binding, Access>>;
  /** `override` constants that have no default in the text. */
  readonly constants: readonly Constant[];
  /** Names of `const` values for a generated header: sizes of private arrays, which overrides cannot be. */
  readonly header?: readonly string[];
  /** How often the text's `#for` loops are written out (unroll.ts), by the header's values. */
  readonly counts?: (header: Readonly<Record<string, number>>) => Readonly<Record<string, number>>;
  /** Device features without which it does not compile. */
  readonly features?: readonly string[];
}

export type Access = "read" | "read_write";

/** Gives a contract its literal types. */
export function defineKernel<const B extends string, const C extends string>(
  kernel: Kernel<B, C>,
): Kernel<B, C> {
  return kernel;
}
