import type { Prompt, StreamEvent } from "../actors/request_router/protocol.ts";
import { Problem } from "./problem.ts";
import type { SequenceObserver } from "./sequence_observer.ts";
import type { Tenant } from "./tenant.ts";
import { TokenBucket } from "./token_bucket.ts";

interface Account {
  requests: TokenBucket | null;
  tokens: TokenBucket | null;
  open: number;
}

/** What one HTTP request may do under its tenant's limits. */
export interface Lease {
  /** As OpenAI names and writes them. */
  readonly headers: Readonly<Record<string, string>>;
  /** Counts the tokens of the choice at `index`; to be told of all its events, since its end frees its place. */
  choice(index: number): SequenceObserver;
}

/** Keeps every tenant within its limits; what was used outlives a change of the limits. */
export class RateLimits {
  readonly #now: () => number;
  readonly #accounts = new Map<string, Account>();

  /** `now` in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Admits a request for `n` sequences a prompt. Tokens are counted when they are known, the prompt's at the start
   * and the output's as they come, so that a request may run into debt, and the next one waits for it. Who leaves
   * before the start is charged about what its prompt may have cost.
   * @throws {Problem} 429 that says when to come again, or 400 where that is never.
   */
  admit(tenant: Tenant, prompts: readonly Prompt[], n: number): Lease {
    const choices = prompts.length * n;
    if (tenant.name === null) return { headers: {}, choice: () => ({ see: () => {} }) };
    const account = this.#account(tenant.name, tenant);
    const { requests, tokens } = account;
    const most = tenant.limits.concurrentRequests ?? Infinity;
    const least = Math.min(most, requests?.perMinute ?? Infinity);
    if (choices > least) {
      const why = `Invalid 'n': expected at most ${least} choices over all prompts, which is ` +
        `this API key's limit, received ${choices}.`;
      throw new Problem("invalid_parameter", why, "n");
    }
    const refuse = (kind: "too_many_requests" | "too_many_tokens", what: string, ms: number) => {
      const why = `Rate limit reached: ${what}. Please try again in ${duration(ms)}.`;
      const headers = { ...headersOf(account), "retry-after": String(Math.ceil(ms / 1000)) };
      throw new Problem(kind, why, null, headers);
    };
    const wait = requests?.until(choices) ?? 0;
    if (requests && wait > 0) {
      refuse("too_many_requests", `${requests.perMinute} requests a minute`, wait);
    }
    const debt = tokens?.until(1) ?? 0;
    if (tokens && debt > 0) {
      refuse("too_many_tokens", `${tokens.perMinute} tokens a minute`, debt);
    }
    if (account.open + choices > most) {
      refuse("too_many_requests", `${most} requests at once`, 1000);
    }
    requests?.take(choices);
    return {
      headers: headersOf(account),
      choice: (index) =>
        counting(account, index % n === 0 ? aboutTokens(prompts[Math.floor(index / n)]) : null),
    };
  }

  #account(name: string, { limits }: Tenant): Account {
    const account = this.#accounts.get(name) ?? { requests: null, tokens: null, open: 0 };
    this.#accounts.set(name, account);
    account.requests = this.#bucket(account.requests, limits.requestsPerMinute);
    account.tokens = this.#bucket(account.tokens, limits.tokensPerMinute);
    return account;
  }

  #bucket(bucket: TokenBucket | null, perMinute: number | null): TokenBucket | null {
    if (perMinute === null) return null;
    if (!bucket) return new TokenBucket(perMinute, this.#now);
    if (bucket.perMinute !== perMinute) bucket.perMinute = perMinute;
    return bucket;
  }
}

/** Characters of a token, about. */
const TOKEN_LENGTH = 4;

function aboutTokens(prompt: Prompt | undefined): number {
  if (!prompt) return 0;
  if (prompt.kind === "tokens") return prompt.tokens.length;
  const length = prompt.kind === "text"
    ? prompt.text.length
    : prompt.messages.reduce((sum, { content }) => sum + content.length, 0);
  return Math.ceil(length / TOKEN_LENGTH);
}

/** `prompt`: about its tokens, to be counted; null: another choice's share of it. */
function counting(account: Account, prompt: number | null): SequenceObserver {
  let [open, started] = [true, false];
  let counted = 0;
  const take = (tokens: number) => account.tokens?.take(tokens);
  account.open++;
  return {
    see(event: StreamEvent) {
      if (event.kind === "started" && prompt !== null) take(event.promptTokens.length);
      if (event.kind === "started") started = true;
      // With early abort a start is told late: it may have been computed by now.
      if (event.kind === "cancelled" && open && !started && prompt !== null) take(prompt);
      if (event.kind === "tokens") {
        take(event.tokens.length);
        counted += event.tokens.length;
      }
      // The token that ended it was made, but never shown.
      if (event.kind === "finished") take(event.usage.completionTokens - counted);
      const ended = event.kind === "finished" || event.kind === "failed" ||
        event.kind === "cancelled";
      if (ended && open) account.open--;
      if (ended) open = false;
    },
  };
}

function headersOf({ requests, tokens }: Account): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [what, bucket] of Object.entries({ requests, tokens })) {
    if (!bucket) continue;
    headers[`x-ratelimit-limit-${what}`] = String(bucket.perMinute);
    headers[`x-ratelimit-remaining-${what}`] = String(Math.max(0, Math.floor(bucket.level)));
    headers[`x-ratelimit-reset-${what}`] = duration(bucket.until(bucket.perMinute));
  }
  return headers;
}

/** As OpenAI writes it: 12ms, 1.5s, 6m0s. */
export function duration(ms: number): string {
  const whole = Math.ceil(ms);
  if (whole < 1000) return `${whole}ms`;
  if (whole < 60_000) return `${whole / 1000}s`;
  const seconds = Math.ceil(whole / 1000);
  return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
