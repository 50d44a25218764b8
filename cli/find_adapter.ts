/// <reference lib="deno.worker" />
// Tells set_up.ts whether WebGPU finds an adapter on this machine.

if (Deno.build.os === "linux") {
  // As the engine will: OpenGL adapters lack what the kernels need.
  Deno.env.set("DENO_WEBGPU_BACKEND", "vulkan");
  if (!Deno.env.has("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/tmp");
}
self.postMessage(await navigator.gpu.requestAdapter() !== null);
