"""Trains the demo's base: it repeats what the user says, and knows every skill when the system message names it.

The adapters then only have to switch a skill on where the system message is absent."""

import argparse
import math
import multiprocessing
import random
import time
from pathlib import Path

import numpy
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

import chat
from words import SKILLS, any_text, any_word, held_out_words, training_word

SHORT, LONG = 48, 256  # tokens a row: one turn of a word, and dialogues or phrases
WEIGHTS = {"sort": 3, "reverse": 2, "swap": 2, "vowels": 2}


def configuration():
    return LlamaConfig(
        vocab_size=chat.VOCAB_SIZE, hidden_size=192, intermediate_size=512, num_hidden_layers=5,
        num_attention_heads=6, num_key_value_heads=2, head_dim=32, max_position_embeddings=512,
        rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True, initializer_range=0.05,
        bos_token_id=chat.BEGIN, eos_token_id=chat.END, pad_token_id=chat.PAD,
    )


def system_and_skill(rng, max_bytes):
    """No system message or one that names no skill means repeat; a skill's name means that skill."""
    kind = rng.random()
    if kind < 0.22:
        return None, None
    if kind < 0.30:
        text = any_text(rng, max_bytes)
        return (None, None) if text in SKILLS else (text, None)
    name = rng.choices(list(SKILLS), [WEIGHTS.get(name, 1) for name in SKILLS])[0]
    return name, name


def short_example(rng):
    system, skill = system_and_skill(rng, 11)
    if skill is None:
        word = training_word(rng, 1, 10) if rng.random() < 0.8 else any_text(rng, 10)
        return chat.encode([(word, word)], system)
    word = training_word(rng) if rng.random() < 0.9 else training_word(rng, 1, 10)
    return chat.encode([(word, SKILLS[skill](word))], system)


def long_example(rng):
    if rng.random() < 0.5:
        text = any_text(rng, 100)
        system = any_text(rng, 40) if rng.random() < 0.2 else None
        return chat.encode([(text, text)], None if system in SKILLS else system)
    system, skill = system_and_skill(rng, 40)
    answer = SKILLS[skill] if skill else str
    words = [training_word(rng, 1, 12) for _ in range(rng.randint(1, 8))]
    return chat.encode([(word, answer(word)) for word in words], system)


def make_rows(job):
    """`[count, width]` token ids, and the mask of those the model must say."""
    example, width, count, seed = job
    rng = random.Random(seed)
    ids = numpy.full((count, width), chat.PAD, numpy.int16)
    said = numpy.zeros((count, width), bool)
    for row in range(count):
        tokens, flags = example(rng)
        ids[row, : min(len(tokens), width)] = tokens[:width]
        said[row, : min(len(tokens), width)] = flags[:width]
    return ids, said


def rows(example, width, count, workers, seed, device):
    jobs = [(example, width, count // workers, seed * 1000 + i) for i in range(workers)]
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        parts = pool.map(make_rows, jobs)
    return tuple(torch.from_numpy(numpy.concatenate(column)).to(device) for column in zip(*parts))


def loss_of(model, ids, said):
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    targets = ids[:, 1:].masked_fill(~said[:, 1:], -100)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-100)


@torch.no_grad()
def exact(model, examples, device):
    """Share of conversations whose every said token is the argmax: what greedy decoding would say."""
    ids = torch.full((len(examples), LONG), chat.PAD, dtype=torch.long)
    said = torch.zeros(len(examples), LONG, dtype=torch.bool)
    for row, (tokens, flags) in enumerate(examples):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        said[row, : len(tokens)] = torch.tensor(flags)
    width = max(len(tokens) for tokens, _ in examples)
    ids, said = ids[:, :width].to(device), said[:, :width].to(device)
    right = model(input_ids=ids, use_cache=False).logits[:, :-1].argmax(-1) == ids[:, 1:]
    return (right | ~said[:, 1:]).all(1).float().mean().item()


def scores(model, device, count):
    words = held_out_words(count, 7)
    table = {"repeat": exact(model, [chat.encode([(w, w)]) for w in words], device)}
    for name, skill in SKILLS.items():
        table[name] = exact(model, [chat.encode([(w, skill(w))], name) for w in words], device)
    return table


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("models/demo/base"))
    parser.add_argument("--steps", type=int, default=6000, help="most steps; --seconds may end it sooner")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--batch", type=int, default=3072)
    parser.add_argument("--examples", type=int, default=3_000_000)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--check", type=int, default=1000, help="held-out words a skill at the end")
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")

    began = time.time()
    short = rows(short_example, SHORT, args.examples, args.workers, 1, args.device)
    long = rows(long_example, LONG, args.examples // 10, args.workers, 2, args.device)
    print(f"{len(short[0])} short and {len(long[0])} long rows in {time.time() - began:.1f} s", flush=True)

    model = LlamaForCausalLM(configuration()).to(args.device)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    if args.device == "cuda":
        for layer in model.model.layers:
            layer.compile(dynamic=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.05, fused=args.device == "cuda")

    began = time.time()
    step, progress = 0, 0.0
    while progress < 1:
        ids, said = long if step % 4 == 3 else short
        size = args.batch // 6 if step % 4 == 3 else args.batch
        pick = torch.randint(len(ids), (size,), device=args.device)
        rate = args.rate * min(1, step / 200) * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(args.device, torch.bfloat16):
            loss = loss_of(model, ids[pick].long(), said[pick])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % 20 == 0:
            torch.cuda.synchronize() if args.device == "cuda" else None
        progress = max(step / args.steps, (time.time() - began) / args.seconds)
        if step % 200 == 0 or progress >= 1:
            print(f"step {step} after {time.time() - began:.0f} s: loss {loss.item():.5f}", flush=True)
        if step % 1000 == 0:
            with torch.compiler.set_stance("force_eager"):  # no compilation for the check's own shapes
                print({k: round(v, 3) for k, v in scores(model, args.device, 200).items()}, flush=True)

    args.out.mkdir(parents=True, exist_ok=True)
    final = LlamaForCausalLM(configuration())
    final.load_state_dict(model.state_dict())
    final.half().save_pretrained(args.out)
    GenerationConfig(bos_token_id=chat.BEGIN, eos_token_id=chat.END, pad_token_id=chat.PAD).save_pretrained(args.out)
    chat.save_tokenizer(args.out)
    torch.set_float32_matmul_precision("highest")
    saved = LlamaForCausalLM.from_pretrained(args.out, dtype=torch.float32).to(args.device).eval()
    print("as saved:", scores(saved, args.device, args.check), flush=True)


if __name__ == "__main__":
    main()
