"""A decode step through transformers + PEFT: base, one adapter for the batch, and a different adapter in every row by
`adapter_names`. A step is the difference of a long and a short generation after the same prompt."""

import argparse

import torch

from random_llama import device, median, random_adapters, random_llama, result


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--shape", default="8b")
    flags.add_argument("--batches", default="1,8,32")
    flags.add_argument("--context", type=int, default=512)
    flags.add_argument("--tokens", type=int, default=16)
    flags.add_argument("--rank", type=int, default=16)
    flags.add_argument("--runs", type=int, default=3)
    options = flags.parse_args()
    batches = [int(batch) for batch in options.batches.split(",")]
    model = random_adapters(random_llama(options.shape), max(batches), [options.rank],
                            ["q", "k", "v", "o"])

    def step(rows, **extra):
        ids = torch.randint(model.config.vocab_size, (rows, options.context), device=device())

        def generate(count):
            with torch.inference_mode():
                model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
                               max_new_tokens=count, min_new_tokens=count, **extra)

        generate(2)
        long = median(lambda: generate(1 + options.tokens), options.runs)
        return (long - median(lambda: generate(1), options.runs)) / options.tokens * 1e3

    steps = []
    for rows in batches:
        with model.disable_adapter():
            base = step(rows)
        model.set_adapter("a0")
        one = step(rows)
        mixed = step(rows, adapter_names=[f"a{row}" for row in range(rows)])
        steps.append(dict(batch=rows, baseMs=base, oneMs=one, mixedMs=mixed))
    result(steps=steps)


main()
