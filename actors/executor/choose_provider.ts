import type { Provider } from "../../kernels/device.ts";

/** `auto` is Deno's own WebGPU: Dawn pays only where matrix units are used, which no kernel does yet. */
export function chooseProvider(gpu: "auto" | "builtin" | "dawn"): Provider {
  return gpu === "dawn" ? "dawn" : "builtin";
}
