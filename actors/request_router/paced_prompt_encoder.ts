import type { Link } from "../channel.ts";
import { openPort } from "../port_channel.ts";
import type { Encoding, PromptEncoder } from "./prompt_encoder.ts";
import type { Prompt } from "./protocol.ts";

export interface LongPrompt {
  readonly id: number;
  readonly prompt: Prompt;
}

export interface LongPromptEncoded {
  readonly id: number;
  readonly encoding: Encoding;
}

/** Encoding takes about a microsecond a character: what is longer would hold all streams for over 4 ms. */
const LONG = 4096;

/** Prompts just not long that may follow each other before timers and other messages get their turn. */
const TURN = 4;
/** What a template does with a message takes about as long as so many characters, however short it is. */
const MESSAGE = 32;

interface Helper {
  readonly worker: Worker;
  readonly link: Link<LongPrompt, LongPromptEncoded>;
  readonly waiting: Map<number, PromiseWithResolvers<Encoding>>;
}

/**
 * Encodes prompts so that streams are not held up: short ones at once, or in turns where many come together, and
 * long ones in a Worker, which is started when the first one comes.
 */
export class PacedPromptEncoder implements PromptEncoder {
  readonly #near: PromptEncoder;
  readonly #directory: string;
  /** Choices of one request have one prompt, which is encoded once. */
  readonly #known = new WeakMap<Prompt, Encoding | Promise<Encoding>>();
  /** Characters encoded in this turn of the event loop. */
  #spent = 0;
  /** The last of those that wait for a later turn, and how many do. */
  #line: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #helper: Helper | null = null;
  #ids = 0;

  /** `directory` is the model's, from which the Worker reads its own tokenizer and chat template. */
  constructor(near: PromptEncoder, directory: string) {
    this.#near = near;
    this.#directory = directory;
  }

  encode(prompt: Prompt): Encoding | Promise<Encoding> {
    const known = this.#known.get(prompt);
    if (known) return known;
    const encoding = this.#encode(prompt);
    this.#known.set(prompt, encoding);
    return encoding;
  }

  /** Ends the Worker; what it was encoding is rejected. */
  close(): void {
    if (this.#helper) this.#fail(this.#helper, "the server is shutting down");
  }

  #encode(prompt: Prompt): Encoding | Promise<Encoding> {
    const size = characters(prompt);
    if (size >= LONG) return this.#encodeFar(prompt);
    if (this.#waiting === 0 && this.#spend(size)) return this.#near.encode(prompt);
    this.#waiting++;
    const turn = this.#line.then(async () => {
      while (!this.#spend(size)) await new Promise((resolve) => setTimeout(resolve));
      this.#waiting--;
      return this.#near.encode(prompt);
    });
    this.#line = turn.catch(() => {}); // its own reader hears of it
    return turn;
  }

  /** Whether so many characters more may be encoded in this turn of the event loop. */
  #spend(size: number): boolean {
    if (this.#spent + size > LONG * TURN) return false;
    if (this.#spent === 0) setTimeout(() => this.#spent = 0);
    this.#spent += size;
    return true;
  }

  async #encodeFar(prompt: Prompt): Promise<Encoding> {
    const helper = this.#helper ??= this.#start();
    const id = this.#ids++;
    const answer = Promise.withResolvers<Encoding>();
    helper.waiting.set(id, answer);
    helper.link.sender.send({ id, prompt }).catch(answer.reject);
    return await answer.promise.finally(() => helper.waiting.delete(id));
  }

  #start(): Helper {
    const url = new URL("./prompt_worker.ts", import.meta.url);
    const worker = new Worker(url, { type: "module", name: this.#directory });
    const link = openPort<LongPrompt, LongPromptEncoded>(worker, { capacity: 16 });
    const helper: Helper = { worker, link, waiting: new Map() };
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#fail(helper, event.message);
    });
    this.#listen(helper).catch(() => {}); // its link was closed, by #fail
    return helper;
  }

  async #listen(helper: Helper): Promise<void> {
    for await (const { id, encoding } of helper.link.receiver) {
      helper.waiting.get(id)?.resolve(encoding);
    }
  }

  /** Those who wait are told, and the next long prompt gets a new Worker. */
  #fail(helper: Helper, why: string): void {
    if (this.#helper === helper) this.#helper = null;
    const error = new Error(`Cannot encode a long prompt: ${why}`);
    for (const { reject } of helper.waiting.values()) reject(error);
    helper.link.close(error);
    helper.worker.terminate();
  }
}

function characters(prompt: Prompt): number {
  switch (prompt.kind) {
    case "tokens":
      return 0;
    case "text":
      return prompt.text.length;
    case "chat":
      return prompt.messages.reduce(
        (sum, { content, name = "" }) => sum + content.length + name.length + MESSAGE,
        0,
      );
  }
}
