import type { DawnPace } from "./dawn_pace.ts";
import type { Device } from "./device.ts";
import type { Kernel } from "./kernel.ts";
import type { MatrixUnits } from "./matrix_units.ts";
import { unroll } from "./unroll.ts";

/** A compiled kernel: bind buffers once, dispatch many times. */
export interface Pipeline<Binding extends string = string> {
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  bind(buffers: Readonly<Record<Binding, GPUBuffer>>): GPUBindGroup;
}

export type ConstantValues<Constant extends string> = Readonly<Record<Constant, number>>;

/** Compiles kernels for one device and keeps each specialisation once. */
export class Compiler {
  readonly #device: GPUDevice;
  readonly #pace: DawnPace | null;
  readonly #pipelines = new Map<string, Promise<Pipeline>>();
  /** What kernels on matrix units may use; null where there are none. */
  readonly matrices: MatrixUnits | null;

  /** The last compilation of each lane; lanes go on side by side. */
  readonly #lanes: Promise<unknown>[];

  constructor(
    { gpu, matrices, compilations, pace }: Pick<
      Device,
      "gpu" | "matrices" | "compilations" | "pace"
    >,
  ) {
    this.#device = gpu;
    this.#pace = pace;
    this.matrices = matrices;
    this.#lanes = Array.from({ length: compilations }, () => Promise.resolve());
  }

  /** What the device can do beyond the minimum: a kernel may need some of it. */
  get features(): Pick<ReadonlySet<string>, "has"> {
    return this.#device.features;
  }

  /** Bytes of workgroup memory. */
  get workgroupBytes(): number {
    return this.#device.limits.maxComputeWorkgroupStorageSize;
  }

  /** Most invocations of a workgroup. */
  get lanes(): number {
    return this.#device.limits.maxComputeInvocationsPerWorkgroup;
  }

  /**
   * Pipeline of `kernel` with these `override` constants and `const` header values.
   * @throws {SyntaxError} with the compiler's message where the text or a constant is wrong.
   */
  compile<B extends string, C extends string>(
    kernel: Kernel<B, C>,
    constants: ConstantValues<C>,
    header: Readonly<Record<string, number>> = {},
  ): Promise<Pipeline<B>> {
    const key = JSON.stringify([kernel.name, constants, header]);
    const known = this.#pipelines.get(key) as Promise<Pipeline<B>> | undefined;
    if (known) return known;
    const lane = this.#pipelines.size % this.#lanes.length;
    const compile = () => this.#compile(kernel, constants, header);
    const made = this.#lanes[lane]?.then(compile) ?? compile();
    this.#lanes[lane] = made.catch(() => {}); // whoever asked for it is told
    this.#pipelines.set(key, made as Promise<Pipeline>);
    return made;
  }

  async #compile<B extends string, C extends string>(
    kernel: Kernel<B, C>,
    constants: ConstantValues<C>,
    header: Readonly<Record<string, number>>,
  ): Promise<Pipeline<B>> {
    const device = this.#device;
    const code = shaderText(kernel, header);
    // WebGPU reports errors through scopes, not throws: without one a bad kernel is silent.
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ label: kernel.name, code });
    const names = Object.keys(kernel.bindings) as B[];
    const layout = device.createBindGroupLayout({
      label: kernel.name,
      entries: names.map((name, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: {
          type: kernel.bindings[name] === "read" ? "read-only-storage" : "storage",
        },
      })),
    });
    let thrown: unknown = null;
    const made = device.createComputePipelineAsync({
      label: kernel.name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main", constants },
    }).catch((error) => void (thrown = error));
    // Of this kernel alone, however many are under way: scopes follow the calls, not what becomes of them.
    const scope = device.popErrorScope();
    const both = Promise.all([made, scope]);
    const [pipeline, error] = await (this.#pace?.slowly(both) ?? both);
    if (error || thrown || !pipeline) {
      const why = error?.message ?? (thrown instanceof Error ? thrown.message : String(thrown));
      throw new SyntaxError(
        `Cannot compile kernel ${kernel.name}: ${why}, received constants ${
          JSON.stringify({ ...constants, ...header })
        }`,
      );
    }
    return {
      name: kernel.name,
      pipeline,
      bind: (buffers) =>
        device.createBindGroup({
          label: kernel.name,
          layout,
          entries: names.map((name, binding) => ({ binding, resource: { buffer: buffers[name] } })),
        }),
    };
  }
}

/** The text that is compiled: the kernel's own file first, then shared files, then the header; loops written out. */
export function shaderText(kernel: Kernel, header: Readonly<Record<string, number>>): string {
  const names = kernel.header ?? [];
  const lines = names.map((name) => {
    const value = header[name];
    if (value === undefined) {
      throw new TypeError(`Cannot compile kernel ${kernel.name}: header lacks ${name}`);
    }
    return `const ${name}: u32 = ${value}u;`;
  });
  const text = [kernel.source, ...kernel.includes, lines.join("\n")].join("\n");
  return unroll(text, { ...header, ...kernel.counts?.(header) });
}
