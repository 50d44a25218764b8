"""A trace through transformers + PEFT as S-LoRA ran it: among the requests that have arrived, those for the oldest
one's adapter form a batch, padded to its longest prompt and generated until its longest answer is done. Stops after
--seconds: the rate until then stands for the whole trace, which would take hours."""

import argparse
import json
import time

import torch

from random_llama import device, random_adapters, random_llama, result


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--shape", default="8b")
    flags.add_argument("--trace", required=True, help="JSON list: at, adapter, promptTokens, outputTokens")
    flags.add_argument("--adapters", type=int, default=100)
    flags.add_argument("--ranks", default="8")
    flags.add_argument("--modules", default="q,k,v,o")
    flags.add_argument("--batch", type=int, default=50, help="largest batch; S-LoRA: 50 for 7B on an A100")
    flags.add_argument("--seconds", type=float, default=240)
    flags.add_argument("--slo", type=float, default=6)
    flags.add_argument("--all-at-once", action="store_true", help="as if all had arrived: the largest batches")
    options = flags.parse_args()

    model = random_adapters(random_llama(options.shape), options.adapters,
                            [int(rank) for rank in options.ranks.split(",")],
                            options.modules.split(","))
    vocab = model.config.vocab_size
    with open(options.trace) as file:
        waiting = json.load(file)
    if options.all_at_once:
        for request in waiting:
            request["at"] = 0

    def generate(batch):
        longest = max(request["promptTokens"] for request in batch)
        ids = torch.randint(vocab, (len(batch), longest), device=device())
        mask = torch.ones_like(ids)
        for row, request in enumerate(batch):
            mask[row, : longest - request["promptTokens"]] = 0
        count = max(request["outputTokens"] for request in batch)
        with torch.inference_mode():
            model.generate(input_ids=ids, attention_mask=mask, do_sample=False,
                           max_new_tokens=count, min_new_tokens=count)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    model.set_adapter("a0")
    generate([dict(promptTokens=8, outputTokens=4)])  # the first call compiles and loads
    completed, tokens, batches, in_slo = 0, 0, 0, 0
    start = time.perf_counter()
    while waiting and time.perf_counter() - start < options.seconds:
        now = time.perf_counter() - start
        arrived = [request for request in waiting if request["at"] <= now]
        if not arrived:
            time.sleep(min(waiting[0]["at"], options.seconds) - now)
            continue
        adapter = arrived[0]["adapter"]
        batch = [request for request in arrived if request["adapter"] == adapter][: options.batch]
        taken = {id(request) for request in batch}
        waiting = [request for request in waiting if id(request) not in taken]
        model.set_adapter(f"a{adapter}")
        generate(batch)
        end = time.perf_counter() - start
        completed += len(batch)
        tokens += sum(request["outputTokens"] for request in batch)
        batches += 1
        in_slo += sum(end - request["at"] < options.slo for request in batch)
    elapsed = time.perf_counter() - start
    result(requestsPerSecond=completed / elapsed, outputTokensPerSecond=tokens / elapsed,
           seconds=elapsed, completed=completed, left=len(waiting), batches=batches,
           meanBatch=completed / max(1, batches), attainment=in_slo / max(1, completed))


main()
