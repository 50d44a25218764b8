import { loadWeights, openWeights } from "../../actors/executor/load_weights.ts";
import { Compiler } from "../../kernels/compiler.ts";
import type { Device } from "../../kernels/device.ts";
import { loadModelConfig } from "../../models/parse_config.ts";
import type { WantedDtype } from "../../models/stream_weights.ts";

/** Loads a checkpoint and nothing else; by how much host memory grew at most. */
export async function timeLoad(
  device: Device,
  directory: string,
  dtype: WantedDtype,
): Promise<{ readonly seconds: number; readonly hostBytes: number }> {
  const config = await loadModelConfig(directory);
  const peak = watchPeak();
  const start = performance.now();
  using files = openWeights(directory, config, dtype);
  const weights = await loadWeights(device, new Compiler(device), files, peak.look);
  const seconds = (performance.now() - start) / 1000;
  for (const buffer of weights.values()) buffer.destroy();
  return { seconds, hostBytes: peak.grown() };
}

/** How far resident memory grows from now on: as Linux keeps count of it, elsewhere as far as the looks saw. */
function watchPeak(): { readonly look: () => void; readonly grown: () => number } {
  const idle = Deno.memoryUsage().rss;
  let most = idle;
  const look = () => most = Math.max(most, Deno.memoryUsage().rss);
  if (Deno.build.os !== "linux") return { look, grown: () => most - idle };
  Deno.writeTextFileSync("/proc/self/clear_refs", "5"); // the highest mark is today's
  const kibibytes = () =>
    Number(/VmHWM:\s*(\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))?.[1]);
  return { look: () => {}, grown: () => kibibytes() * 1024 - idle };
}
