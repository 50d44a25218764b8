/// <reference lib="deno.worker" />
// Answers each message; from the first `true` on, something asks for turns all the time, as Dawn does.
import { paceDawn } from "../../kernels/dawn_pace.ts";

self.onmessage = ({ data }: MessageEvent<boolean>) => {
  if (data) {
    paceDawn();
    const turn = () => void setImmediate(turn);
    setImmediate(turn);
  }
  self.postMessage(null);
};
