import type { RequestId } from "../../memory/ids.ts";
import type { Job } from "./policies/policy.ts";
import type { Sequence, Shares } from "./protocol.ts";

const EVEN: Shares = { tenant: 1, adapter: 1 };

/** What policies and others ask of a sequence, from what its submission said. */
export abstract class SequenceJob implements Job {
  readonly sequence: Sequence;
  /** Order of submission, which is age. */
  readonly arrival: number;
  readonly submittedAt: number;
  abstract readonly begun: boolean;
  abstract readonly blockedSince: number | null;

  /** `submittedAt` in milliseconds. */
  constructor(sequence: Sequence, arrival: number, submittedAt: number) {
    this.sequence = sequence;
    this.arrival = arrival;
    this.submittedAt = submittedAt;
  }

  get request(): RequestId {
    return this.sequence.id;
  }

  get adapters(): Job["adapters"] {
    return this.sequence.adapters;
  }

  get tenant(): string | null {
    return this.sequence.tenant ?? null;
  }

  get shares(): Shares {
    return this.sequence.shares ?? EVEN;
  }

  get priority(): number {
    return this.sequence.priority ?? 0;
  }

  get promptTokens(): number {
    return this.sequence.prompt.length;
  }

  get maxTokens(): number {
    return this.sequence.maxTokens;
  }

  /** Tokens whose KV it may ever need: the last token of all is never read back, so it needs none. */
  get longestTokens(): number {
    return this.promptTokens + this.maxTokens - 1;
  }

  /** Names what its KV depends on beside the tokens. */
  get space(): string {
    const { cacheSalt = null } = this.sequence;
    // As JSON, so that no salt can be taken for a tenant, nor either for an adapter.
    return JSON.stringify([
      this.tenant,
      cacheSalt,
      this.adapters.map((r) => [r.adapter, r.weight]),
    ]);
  }
}
