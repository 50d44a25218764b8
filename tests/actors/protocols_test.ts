import { assertEquals } from "@std/assert";
import type * as BatchFormer from "../../actors/batch_former/protocol.ts";
import type { EngineCommand } from "../../actors/engine_protocol.ts";
import type * as Executor from "../../actors/executor/protocol.ts";
import { encodeFrame, FrameDecoder } from "../../actors/frames.ts";
import type * as Loader from "../../actors/loader/protocol.ts";
import type * as MemoryManager from "../../actors/memory_manager/protocol.ts";
import type {
  ClientCommand,
  EngineEvent,
  EngineLoad,
  GenerationRequest,
  StreamEvent,
  StreamToken,
} from "../../actors/request_router/protocol.ts";
import type { SamplingParams, TokenLogprobs } from "../../actors/sampling.ts";
import {
  adapterId,
  epoch as epochOf,
  pageId,
  requestId,
  slotId,
  stepId,
} from "../../memory/ids.ts";
import type { AdapterImage } from "../../models/adapter_image.ts";

/** One message of every kind: a kind that is added to a protocol is missing here until it has a sample. */
type Samples<M extends { readonly kind: string }> = {
  readonly [K in M["kind"]]: Extract<M, { readonly kind: K }>;
};

const request = requestId("cmpl-1-0");
const adapter = adapterId("sha256-0a");
const epoch = epochOf(3);
const slot = slotId(2);
const step = stepId(9);
const sampling: SamplingParams = {
  temperature: 0.7,
  topK: 40,
  topP: 0.95,
  minP: 0.05,
  seed: 2 ** 53 - 1,
  presencePenalty: 0.5,
  frequencyPenalty: -0.5,
  repetitionPenalty: 1.1,
  logitBias: [[5, -100], [6, 1.5]],
  topLogprobs: 2,
};
const logprobs: TokenLogprobs = { logprob: -0.25, top: [[5, -0.25], [6, -3]] };
const sequence: BatchFormer.Sequence = {
  id: request,
  prompt: [1, 2, 3],
  generated: [4],
  adapters: [{ adapter, weight: 0.5 }],
  sampling,
  maxTokens: 64,
  stopTokenIds: [2],
  promptLogprobs: true,
  cacheSalt: "blue",
  tenant: "acme",
  shares: { tenant: 2, adapter: 0.5 },
  priority: -1,
  credit: 128,
};
const resident: Executor.ResidentAdapter = {
  adapter,
  layerPage: pageId(17),
  headPage: null,
  moduleRanks: [8, 0, 8, 8, 0, 0, 0],
  headRanks: [0, 0],
};
const image: AdapterImage = {
  layers: { bytes: new SharedArrayBuffer(8), pages: 1, copies: 1 },
  head: null,
  maxRank: 8,
  moduleRanks: [8, 0, 8, 8, 0, 0, 0],
  headRanks: [0, 0],
  dora: false,
};
const load: EngineLoad = {
  running: 2,
  waiting: 1,
  pages: 100,
  freePages: 40,
  kvPages: 50,
  cachedPages: 0,
  adapterPages: 10,
  residentAdapters: [adapter],
  arrivingAdapters: 1,
  residency: {
    hostAdapters: 3,
    hostBytes: 4096,
    arrivingPages: 1,
    diskLoads: 4,
    failedLoads: 1,
    hostEvictions: 1,
    gpuEvictions: 2,
    gpuHits: 9,
    gpuMisses: 3,
    prefetches: 1,
    uploads: 4,
    uploadBytes: 16384,
    uploadSeconds: 0.25,
  },
  preemptions: 0,
  sheds: 0,
  steps: 12,
  prefixQueries: 0,
  prefixHits: 0,
};
const {
  running: _r,
  waiting: _w,
  preemptions: _p,
  sheds: _d,
  steps: _s,
  prefixQueries: _q,
  prefixHits: _h,
  residency,
  ...usage
} = load;
const stepped: Samples<Executor.Stepped>["stepped"] = {
  kind: "stepped",
  step,
  rows: [{ slot, token: 7, logprobs, promptLogprobs: [logprobs] }],
};
const step_failed = { kind: "step_failed", step, error: "device lost" } as const;
const planned: MemoryManager.Planned = {
  kind: "planned",
  plan: 4,
  grants: [
    {
      kind: "granted",
      request,
      newPages: [pageId(3)],
      cached: 0,
      adapters: [resident],
      arriving: [adapter],
    },
    { kind: "waiting", request },
    { kind: "exhausted", request, pool: "layers", neededPages: 4, freePages: 1 },
    { kind: "crowded", request },
    { kind: "refused", request, error: "unknown adapter" },
  ],
  usage,
  residency,
};
const adapter_resident = { kind: "adapter_resident", adapter } as const;
const adapter_arrived = { kind: "adapter_arrived", adapter } as const;
const uploaded = { kind: "uploaded", adapter, bytes: 4096, seconds: 0.001 } as const;
const adapter_unavailable = { kind: "adapter_unavailable", adapter, error: "NaN in A" } as const;
const loaded = { kind: "loaded", adapter, image } as const;
const load_failed = { kind: "load_failed", adapter, error: "no such file" } as const;
const register = { kind: "register", adapter, path: "/adapters/upper" } as const;

const lifecycle = {
  unregister: { kind: "unregister", adapter },
  pin: { kind: "pin", adapter },
  unpin: { kind: "unpin", adapter },
  list_adapters: { kind: "list_adapters" },
} as const;

const batchFormer: Samples<BatchFormer.Command> = {
  submit: { kind: "submit", sequence },
  cancel: { kind: "cancel", request },
  extend_credit: { kind: "extend_credit", request, tokens: 32 },
  tick: { kind: "tick" },
  planned,
  adapter_resident,
  adapter_arrived,
  adapter_unavailable,
  stepped,
  step_failed,
};
const memoryManager: Samples<MemoryManager.Command> = {
  plan: {
    kind: "plan",
    plan: 4,
    wants: [{
      request,
      tokens: 17,
      adapters: [adapter],
      spareTokens: 16,
      growth: 60,
      prefix: { space: "blue", adapters: [adapter], tokens: [1, 2, 3] },
      written: { from: 16, tokens: [4, 5] },
    }],
    upcoming: [adapter],
  },
  release: { kind: "release", request, written: { from: 0, tokens: [1] } },
  uploaded,
  register,
  ...lifecycle,
  loaded,
  load_failed,
};
const executor: Samples<Executor.Command> = {
  open: {
    kind: "open",
    slot,
    request,
    sampling,
    routes: [{ ...resident, weight: 1 }],
    prompt: [1, 2, 3],
    generated: [],
  },
  close: { kind: "close", slot },
  upload: { kind: "upload", adapter, image, layerPages: [pageId(3)], headPages: [] },
  step: {
    kind: "step",
    step,
    rows: [{
      slot,
      tokens: null,
      position: 3,
      newPages: [pageId(4)],
      sample: true,
      promptTargets: [2, null],
    }],
  },
};
const executorEvents: Samples<Executor.Event> = {
  executor_ready: {
    kind: "executor_ready",
    provider: "builtin",
    device: "llvmpipe",
    software: true,
    layerPages: 100,
    headPages: 10,
    pagesPerBlock: 2,
    maxModelLen: 2048,
    maxLogitRows: 64,
  },
  progress: { kind: "progress", label: "weights", done: 1, total: 2, unit: "bytes" },
  uploaded,
  start_failed: { kind: "start_failed", error: "no adapter" },
  stepped,
  step_failed,
};
const loader: Samples<Loader.Command> = {
  load: { kind: "load", adapter, path: "/adapters/upper" },
};
const loaderEvents: Samples<Loader.Event> = {
  loaded,
  load_failed,
};
const generation: GenerationRequest = {
  id: request,
  prompt: { kind: "chat", messages: [{ role: "user", content: "stone" }] },
  adapters: [{ adapter, weight: 1 }],
  sampling,
  maxTokens: null,
  stop: ["\n"],
  stopTokenIds: [2],
  ignoreEos: false,
  echo: false,
};
const clientCommands: Samples<ClientCommand> = {
  generate: { kind: "generate", requests: [generation] },
  cancel: { kind: "cancel", request },
  consumed: { kind: "consumed", request, tokens: 32 },
};
const streamToken: StreamToken = {
  token: 5,
  text: "é",
  bytes: [195, 169],
  logprobs: { logprob: -0.25, top: [{ token: 5, text: "é", bytes: [195, 169], logprob: -0.25 }] },
};
const streamEvents: Samples<StreamEvent> = {
  started: { kind: "started", promptTokens: [1, 2, 3] },
  prompt: { kind: "prompt", text: "é", tokens: [{ ...streamToken, logprobs: null }] },
  tokens: { kind: "tokens", text: "é", tokens: [streamToken] },
  finished: {
    kind: "finished",
    reason: "stop",
    usage: { promptTokens: 3, completionTokens: 4 },
  },
  failed: {
    kind: "failed",
    error: { kind: "invalid", message: "Cannot run the request", param: "prompt" },
  },
  cancelled: { kind: "cancelled" },
};
const engineCommands: Samples<EngineCommand> = {
  submit: { kind: "submit", sequence },
  cancel: { kind: "cancel", request },
  extend_credit: { kind: "extend_credit", request, tokens: 32 },
  register,
  ...lifecycle,
  ping: { kind: "ping", sequence: 8 },
};
const engineEvents: Samples<EngineEvent> = {
  engine_ready: {
    kind: "engine_ready",
    epoch,
    limits: {
      maxModelLen: 2048,
      poolTokens: 1024,
      pagesPerBlock: 1,
      device: "llvmpipe",
      software: true,
      provider: "builtin",
    },
  },
  start_failed: { kind: "start_failed", epoch, error: "no adapter" },
  progress: { kind: "progress", epoch, label: "weights", done: 1, total: 2, unit: "bytes" },
  engine_lost: { kind: "engine_lost", epoch, reason: "it was ended by SIGKILL" },
  adapter_registered: { kind: "adapter_registered", epoch, adapter, rank: 8, bytes: 4096 },
  adapter_rejected: { kind: "adapter_rejected", epoch, adapter, error: "NaN in A" },
  adapter_pinned: { kind: "adapter_pinned", epoch, adapter, error: "no room" },
  adapters_listed: {
    kind: "adapters_listed",
    epoch,
    places: { host: [adapter], gpu: [adapter] },
  },
  progressed: {
    kind: "progressed",
    epoch,
    outputs: [
      { request, tokens: [{ token: 7, logprobs }], promptLogprobs: [null, logprobs], end: null },
      {
        request,
        tokens: [],
        promptLogprobs: [],
        end: { kind: "failed", error: "unknown adapter" },
      },
      { request, tokens: [], promptLogprobs: [], end: { kind: "shed", error: "too late" } },
    ],
  },
  load_changed: { kind: "load_changed", epoch, load },
  pong: { kind: "pong", epoch, sequence: 8 },
};

const PROTOCOLS = {
  batchFormer,
  memoryManager,
  executor,
  executorEvents,
  loader,
  loaderEvents,
  clientCommands,
  streamEvents,
  engineCommands,
  engineEvents,
};

for (const [protocol, samples] of Object.entries(PROTOCOLS)) {
  Deno.test(`every ${protocol} message is the same after a structured clone`, () => {
    for (const [kind, message] of Object.entries(samples)) {
      assertEquals(message.kind, kind);
      assertEquals(structuredClone(message), message);
    }
  });
}

for (const [protocol, samples] of Object.entries({ engineCommands, engineEvents })) {
  Deno.test(`every ${protocol} message is the same after the socket's frames`, () => {
    const bytes = Object.values(samples).map((message) => encodeFrame("message", message));
    const decoder = new FrameDecoder();
    const bodies = bytes.flatMap((frame) => [...frame]).flatMap((byte) =>
      [...decoder.push(Uint8Array.of(byte))].map(({ body }) => body)
    );
    assertEquals(bodies, Object.values(samples));
    assertEquals(decoder.pendingBytes, 0);
  });
}
