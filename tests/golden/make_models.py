#!/usr/bin/env python3
"""Writes the golden files of whole models with PyTorch; README.md says when and how to run it.

Each holds the model's parameters and inputs, losses, gradients, and parameters after an optimiser's step, and a bound for
each of these: the largest movement of any of its elements in RUNS runs with rounding (rounding.py), times SAFETY.
"""
import math
import random

import torch
from make_golden import Golden, uniform
from rounding import Rounding
from torch import nn
from torch.nn.functional import cross_entropy, gelu, huber_loss
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

RUNS, SAFETY = 8, 4  # eight draws of every error, and what the worst ones are beyond these
V, E, H, T, B = 11, 6, 8, 5, 3
IGNORED = -1


class Case:
    """A model with random parameters, a file for it, and what is to be computed: a function without arguments that gives
    named tensors."""

    def __init__(self, name, title, model):
        self.rng, self.model = random.Random(name), model.double()
        self.golden = Golden(f"model_{name}.txt", title)
        self.start = {}
        for parameter_name, parameter in model.named_parameters():
            is_gain = ".norm" in "." + parameter_name and parameter_name.endswith("weight")
            parameter.data = uniform(self.rng, *parameter.shape, limit=0.5) + (1 if is_gain else 0)
            self.start[parameter_name] = parameter.data.clone()
            self.golden.add(f"param/{parameter_name}", parameter)

    def tokens(self, *shape, classes=V):
        return torch.tensor([self.rng.randrange(classes) for _ in range(math.prod(shape))]).reshape(shape)

    def input(self, name, tensor):
        self.golden.add(name, tensor)
        return tensor

    def results(self, compute):
        for name, parameter in self.model.named_parameters():
            parameter.data, parameter.grad = self.start[name].clone(), None
        return {name: value.detach().clone() for name, value in compute().items()}

    def gradients(self):
        return {f"grad/{name}": p.grad for name, p in self.model.named_parameters() if p.grad is not None}

    def write(self, compute):
        exact = self.results(compute)
        bounds = dict.fromkeys(exact, 0.0)
        for seed in range(RUNS):
            with Rounding(seed):
                moved = self.results(compute)
            for name, value in exact.items():
                bounds[name] = max(bounds[name], (moved[name] - value).abs().max().item())
        for name, value in exact.items():
            assert bounds[name] < 1e-5 * value.abs().max(), f"the bound of {name} says nothing"
            self.golden.add(name, value.reshape(value.shape or (1,)))
            self.golden.numbers(f"bound/{name}", [float("%.4g" % (SAFETY * bounds[name]))])
        self.golden.write()


def recur(layer, x, lengths):
    """Outputs and final states, h or (h, c), over rows of their own lengths."""
    y, final = layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
    return pad_packed_sequence(y, total_length=len(x))[0], final


def is_there(lengths, steps):
    """[B,steps]"""
    return torch.arange(steps) < torch.tensor(lengths)[:, None]


class Seq2Seq(nn.Module):
    """A decoder that begins with the encoder's final states and attends to its outputs (Luong et al. 2015); one embedding for
    both languages and the output."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(V, E)
        self.encoder, self.decoder = nn.GRU(E, H, 2), nn.GRU(E, H, 2)
        self.mix = nn.Linear(2 * H, E)
        self.out = nn.Linear(E, V)
        self.out.weight = self.embed.weight

    def forward(self, source, lengths, target):
        encoded, final = recur(self.encoder, self.embed(source), lengths)
        y, _ = self.decoder(self.embed(target), final)
        scores = y.transpose(0, 1) @ encoded.permute(1, 2, 0)  # [B,S,T]
        weights = scores.masked_fill(~is_there(lengths, T)[:, None], -torch.inf).softmax(-1)
        context = (weights @ encoded.transpose(0, 1)).transpose(0, 1)
        return self.out(torch.tanh(self.mix(torch.cat([context, y], -1))))


def make_seq2seq():
    steps, lengths, target_lengths = 4, [4, 5, 2], [4, 1, 3]
    case = Case("seq2seq", "encoder and decoder of two layers of torch.nn.GRU with attention and tied embeddings", Seq2Seq())
    source, target = case.input("source", case.tokens(T, B)), case.input("target", case.tokens(steps, B))
    labels = case.input("labels", case.tokens(steps, B).masked_fill(~is_there(target_lengths, steps).T, IGNORED))
    case.golden.numbers("lengths", lengths)

    def compute():
        logits = case.model(source, lengths, target)
        loss = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        loss.backward()
        return {"logits": logits, "loss": loss, **case.gradients()}

    case.write(compute)


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and with what it reads added (Xiong et al. 2020)."""

    def __init__(self, features, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(features), nn.LayerNorm(features)
        self.qkv, self.proj = nn.Linear(features, 3 * features), nn.Linear(features, features)
        self.up, self.down = nn.Linear(features, 2 * features), nn.Linear(2 * features, features)

    def forward(self, x, hidden):
        parts = self.qkv(self.norm1(x)).chunk(3, -1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)  # [B,heads,T,..]
        scores = query @ key.transpose(-1, -2) * query.shape[-1]**-0.5
        weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        x = x + self.proj((weights @ value).transpose(1, 2).flatten(2))
        return x + self.down(gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, features, heads):
        super().__init__()
        self.embed, self.positions = nn.Embedding(V, features), nn.Parameter(torch.zeros(T, features))
        self.blocks = nn.ModuleList(Block(features, heads) for _ in range(2))
        self.norm = nn.LayerNorm(features)

    def forward(self, tokens, lengths):
        later = torch.ones(T, T, dtype=torch.bool).triu(1)
        hidden = later | ~is_there(lengths, T)[:, None, None]  # [B,1,T,T]
        x = self.embed(tokens) + self.positions
        for block in self.blocks:
            x = block(x, hidden)
        return self.norm(x) @ self.embed.weight.T


def make_transformer():
    lengths = [3, 5, 4]
    case = Case("transformer", "two blocks of attention and feed-forward over rows of their own lengths", Transformer(8, 2))
    tokens = case.input("tokens", case.tokens(B, T))
    labels = case.input("labels", case.tokens(B, T).masked_fill(~is_there(lengths, T), IGNORED))
    case.golden.numbers("lengths", lengths)

    def compute():
        logits = case.model(tokens, lengths)
        loss = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        loss.backward()
        return {"logits": logits, "loss": loss, **case.gradients()}

    case.write(compute)


class MultiTask(nn.Module):
    """A class from the mean of an encoder's outputs, a number from the last of them."""

    CLASSES = 4

    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict({"embed": nn.Embedding(V, E), "lstm": nn.LSTM(E, H, bidirectional=True)})
        self.norm, self.label, self.value = nn.LayerNorm(2 * H), nn.Linear(2 * H, self.CLASSES), nn.Linear(2 * H, 1)
        self.encoder.requires_grad_(False)

    def forward(self, tokens, lengths):
        y, _ = recur(self.encoder["lstm"], self.encoder["embed"](tokens), lengths)
        mean = torch.stack([y[:n, b].mean(0) for b, n in enumerate(lengths)])
        last = torch.stack([y[n - 1, b] for b, n in enumerate(lengths)])
        return self.label(self.norm(mean)), self.value(last).squeeze(-1)


def make_multitask():
    """All rows at once: a test that takes them in parts must come to the same."""
    rows, lengths = 4, [3, 5, 1, 4]
    case = Case("multitask", "two heads on a frozen bidirectional torch.nn.LSTM, and a step of torch.optim.AdamW; "
                "adamw: lr, beta1, beta2, eps, weight decay of weights", MultiTask())
    tokens = case.input("tokens", case.tokens(T, rows))
    labels = case.input("labels", case.tokens(rows, classes=MultiTask.CLASSES))
    values = case.input("values", uniform(case.rng, rows, limit=3))
    case.golden.numbers("lengths", lengths)
    lr, beta1, beta2, eps, decay = 0.125, 0.875, 0.9375, 2.0**-10, 0.0625
    case.golden.numbers("adamw", [lr, beta1, beta2, eps, decay])

    def compute():
        logits, predicted = case.model(tokens, lengths)
        label_loss, value_loss = cross_entropy(logits, labels), huber_loss(predicted, values)
        (label_loss + value_loss).backward()
        results = {"label_loss": label_loss, "value_loss": value_loss, **case.gradients()}
        named = [(name, p) for name, p in case.model.named_parameters() if p.requires_grad]
        is_plain = lambda name: name.startswith("norm.") or name.endswith(".bias")
        optimizer = torch.optim.AdamW([{"params": [p for name, p in named if is_plain(name)], "weight_decay": 0.0},
                                       {"params": [p for name, p in named if not is_plain(name)]}],
                                      lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=decay, foreach=False)
        optimizer.step()
        return {**results, **{f"after/{name}": p for name, p in named}}

    case.write(compute)


def main():
    make_seq2seq()
    make_transformer()
    make_multitask()
    print("golden files of models written with PyTorch", torch.__version__)


if __name__ == "__main__":
    main()
