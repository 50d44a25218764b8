import { Option } from "commander";

/** `--gpu`, for benches that open the GPU themselves; CHORUS_GPU where it is not given. */
export const providerOption = (): Option =>
  new Option("--gpu <provider>", "WebGPU provider").choices(["builtin", "dawn"])
    .env("CHORUS_GPU").default("builtin");
