import type { Output, Sequence } from "../../actors/batch_former/protocol.ts";
import type { EngineCommand } from "../../actors/engine_protocol.ts";
import type { EngineEvent, EngineLimits } from "../../actors/request_router/protocol.ts";
import type { TokenLogprobs } from "../../actors/sampling.ts";
import type { AdapterId, Epoch, RequestId } from "../../memory/ids.ts";

/** The token that every fake engine makes after this prompt at this place: printable bytes and halves of characters. */
export function fakeToken(prompt: readonly number[], at: number): number {
  const sum = prompt.reduce((hash, token) => (hash * 31 + token) % 65521, 7);
  return 5 + (sum + at * at * 13 + at * 7) % 240;
}

export const fakeTokens = (prompt: readonly number[], count: number) =>
  Array.from({ length: count }, (_, at) => fakeToken(prompt, at));

export const fakeLogprobs = (token: number): TokenLogprobs => ({
  logprob: -token / 8,
  top: [[token, -token / 8], [token + 1, -token]],
});

export const FAKE_LIMITS: EngineLimits = {
  maxModelLen: 512,
  poolTokens: 256,
  pagesPerBlock: 1,
  device: "arithmetic",
  software: true,
  provider: "builtin",
};

interface Running {
  readonly sequence: Sequence;
  made: number;
  credit: number;
  echoed: boolean;
}

/** Keeps the engine's side of the protocol, one token a sequence and step, without a model. */
export class FakeEngine {
  readonly #running = new Map<RequestId, Running>();
  readonly #adapters = new Set<AdapterId>();

  readonly #pinned = new Set<AdapterId>();

  constructor(readonly epoch: Epoch) {}

  get size(): number {
    return this.#running.size;
  }

  /** What it answers at once. Throws where the front breaks the protocol. */
  handle(command: EngineCommand): EngineEvent | null {
    const { epoch } = this;
    switch (command.kind) {
      case "submit": {
        const { sequence } = command;
        if (this.#running.has(sequence.id)) throw new Error(`${sequence.id} is submitted twice`);
        for (const { adapter } of sequence.adapters) {
          if (!this.#adapters.has(adapter)) throw new Error(`${adapter} was never registered`);
        }
        const made = sequence.generated.length;
        const echoed = !sequence.promptLogprobs;
        this.#running.set(sequence.id, { sequence, made, credit: sequence.credit, echoed });
        return null;
      }
      case "cancel":
        this.#running.delete(command.request);
        return null;
      case "extend_credit": {
        const running = this.#running.get(command.request);
        if (running) running.credit += command.tokens;
        return null;
      }
      case "register":
        this.#adapters.add(command.adapter);
        return command.path.endsWith("bad")
          ? { kind: "adapter_rejected", epoch, adapter: command.adapter, error: "no such file" }
          : { kind: "adapter_registered", epoch, adapter: command.adapter, rank: 8, bytes: 1024 };
      case "unregister":
        for (const [, { sequence }] of this.#running) {
          const used = sequence.adapters.some(({ adapter }) => adapter === command.adapter);
          if (used) throw new Error(`${command.adapter} is unregistered while it is used`);
        }
        this.#adapters.delete(command.adapter);
        this.#pinned.delete(command.adapter);
        return null;
      case "pin":
        if (!this.#adapters.has(command.adapter)) throw new Error(`${command.adapter} is unknown`);
        this.#pinned.add(command.adapter);
        return { kind: "adapter_pinned", epoch, adapter: command.adapter, error: null };
      case "unpin":
        this.#pinned.delete(command.adapter);
        return null;
      case "list_adapters": {
        const places = { host: [...this.#adapters], gpu: [...this.#pinned] };
        return { kind: "adapters_listed", epoch, places };
      }
      case "ping":
        return { kind: "pong", epoch, sequence: command.sequence };
    }
  }

  /** One token for each sequence that has credit; null where there is nothing to say. */
  step(): EngineEvent | null {
    const outputs: Output[] = [];
    for (const [request, running] of this.#running) {
      const { sequence } = running;
      if (running.credit === 0) continue;
      running.credit--;
      const token = fakeToken(sequence.prompt, running.made++);
      const reason = sequence.stopTokenIds.includes(token)
        ? "stop"
        : running.made === sequence.maxTokens
        ? "length"
        : null;
      if (reason) this.#running.delete(request);
      const logprobs = sequence.sampling.topLogprobs === null ? null : fakeLogprobs(token);
      const promptLogprobs = running.echoed
        ? []
        : sequence.prompt.map((token, at) => at === 0 ? null : fakeLogprobs(token));
      running.echoed = true;
      outputs.push({
        request,
        tokens: [{ token, logprobs }],
        promptLogprobs,
        end: reason && { kind: "finished", reason },
      });
    }
    return outputs.length === 0 ? null : { kind: "progressed", epoch: this.epoch, outputs };
  }
}
