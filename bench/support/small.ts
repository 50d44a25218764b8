import type { Device } from "../../kernels/device.ts";

/** Whether a bench takes its smallest sizes: on a software adapter, and where CHORUS_BENCH_SIZE is "small". */
export const isSmall = ({ software }: Pick<Device, "software">): boolean =>
  software || Deno.env.get("CHORUS_BENCH_SIZE") === "small";
