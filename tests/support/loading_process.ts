// Loads the checkpoint it is given, and says by how much its memory grew: nothing was freed before that could be used
// again, as in a process that runs tests.
import { timeLoad } from "../../bench/support/time_load.ts";
import { testDevice } from "./gpu.ts";

export interface Loaded {
  readonly hostBytes: number;
  /** The GPU's memory is the host's. */
  readonly software: boolean;
}

const device = await testDevice();
const { hostBytes } = await timeLoad(device, Deno.args[0] ?? "", "auto");
console.log(JSON.stringify({ hostBytes, software: device.software } satisfies Loaded));
Deno.exit(0); // Dawn's threads would keep it
