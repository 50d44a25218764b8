import { type DawnPace, paceDawn } from "./dawn_pace.ts";
import { MATRIX_FEATURES, type MatrixUnits, matrixUnits } from "./matrix_units.ts";

/** An open GPU and what the engine may ask of it. */
export interface Device {
  readonly provider: Provider;
  readonly gpu: GPUDevice;
  readonly description: string;
  /** A software adapter: correct, but no match for a GPU. */
  readonly software: boolean;
  readonly limits: DeviceLimits;
  readonly matrices: MatrixUnits | null;
  /** Pipelines worth compiling at once: Dawn has threads for them, the built-in provider blocks this one. */
  readonly compilations: number;
  /** How the thread waits for the GPU; null where that is the provider's own affair. */
  readonly pace: DawnPace | null;
}

export type Provider = "builtin" | "dawn";

export interface DeviceLimits {
  /** Bytes of the largest binding. */
  readonly maxBinding: number;
}

export interface DeviceOptions {
  /** Matrix units that software imitates, too: slow to compile and to run, but what they compute can be tested. */
  readonly softwareMatrices?: boolean;
}

/** Dawn's objects die with their last reference, even while the GPU uses them: they stay here for ever. */
const alive: unknown[] = [];
let pace: DawnPace | null = null;

/**
 * Opens the GPU through Deno's own WebGPU (`builtin`) or through the npm package `webgpu` (`dawn`).
 * @throws {Error} naming what is missing, with the command that installs a software adapter.
 */
export async function openDevice(
  provider: Provider,
  { softwareMatrices = false }: DeviceOptions = {},
): Promise<Device> {
  const gpu = provider === "dawn" ? await dawn() : builtin();
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new Error(
      `Cannot open a GPU: ${provider} found no Vulkan, Metal or D3D12 adapter. ` +
        "Install the GPU's driver, or Mesa's software one: apt-get install -y mesa-vulkan-drivers",
    );
  }
  const limits = adapter.limits;
  const info = adapter.info;
  const description = info.description || info.device || info.vendor;
  const software = /llvmpipe|swiftshader|software/i.test(description);
  const matrices = provider === "dawn" && (!software || softwareMatrices)
    ? matrixUnits(adapter)
    : null;
  const device = await adapter.requestDevice({
    requiredFeatures: [
      ...adapter.features.has("timestamp-query") ? ["timestamp-query" as const] : [],
      ...matrices ? MATRIX_FEATURES : [],
    ],
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxStorageBuffersPerShaderStage: Math.min(limits.maxStorageBuffersPerShaderStage, 16),
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
    },
  });
  alive.push(gpu, adapter, device);
  return {
    provider,
    gpu: device,
    description,
    software,
    matrices,
    compilations: provider === "dawn" ? navigator.hardwareConcurrency : 1,
    pace: provider === "dawn" ? pace : null,
    limits: { maxBinding: limits.maxStorageBufferBindingSize },
  };
}

function builtin(): GPU {
  // Without this a machine without a Vulkan driver silently gets a GL adapter, which lacks limits that we need.
  if (Deno.build.os === "linux") {
    Deno.env.set("DENO_WEBGPU_BACKEND", "vulkan");
    // Mesa complains on standard error where a service has no such directory.
    if (!Deno.env.has("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/tmp");
  }
  return navigator.gpu;
}

async function dawn(): Promise<GPU> {
  pace ??= paceDawn();
  const { create } = await import("webgpu");
  const backend = { darwin: "metal", windows: "d3d12" }[Deno.build.os as string] ?? "vulkan";
  return create([
    `backend=${backend}`,
    // Dawn hides shader-f16 on NVIDIA without the second, and rounds timestamps to 65 us without the third.
    "enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia",
    "disable-dawn-features=timestamp_quantization",
  ]) as GPU;
}
