/** Where the time of several steps went. */
export const addSeconds = (sum: StepSeconds, more: StepSeconds): StepSeconds => ({
  encode: sum.encode + more.encode,
  gpu: sum.gpu + more.gpu,
  read: sum.read + more.read,
});
import type { StepSeconds } from "../executor/protocol.ts";
