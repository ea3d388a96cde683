"""PyTorch's side of compare.py, which starts it with the Python of the virtual environment.

    torch_side.py rnn THREADS            serves: "CELL LAYERS I H B T DIRECTIONS LAST ONEDNN RUNS", or "sgemm"
    torch_side.py attention THREADS      serves: "ID FORM RUNS", the lines of bench_attention and a way to compute them
    torch_side.py char-lm THREADS TEXT   serves: "STEPS" ("-" for TEXT: random tokens)
    torch_side.py epochs THREADS TEXT N  trains N epochs and prints the validation loss of each

Each line on standard input is answered by one line of JSON. Between two lines nothing runs here.
"""
import json
import sys
import time

import torch
from torch import nn

MODULES = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN}
T, B, EMBEDDING, HIDDEN, LAYERS = 50, 50, 128, 128, 2
RANDOM_TOKENS, RANDOM_KINDS = 1 << 20, 64
VALIDATION_PART = 0.05


def milliseconds(work):
    """How long work() takes. Its results are dropped after the clock has stopped."""
    begin = time.perf_counter()
    result = work()
    end = time.perf_counter()
    del result
    return 1e3 * (end - begin)


class Layer:
    """Recurrent layers as in bench_rnn: x is [T,B,I], initial states are given, and gradients of output and final states;
    with `last` only of the output's last step."""

    def __init__(self, cell, layers, I, H, B, T, directions, last):
        self.module = MODULES[cell](I, H, layers, bidirectional=directions == 2)
        self.x = torch.randn(T, B, I, requires_grad=True)
        states = [torch.zeros(layers * directions, B, H, requires_grad=True) for _ in range(2 if cell == "lstm" else 1)]
        self.state = tuple(states) if cell == "lstm" else states[0]
        dy = torch.randn(T, B, directions * H)
        if last:
            dy[:-1] = 0
        self.incoming = [dy, *((torch.zeros_like if last else torch.randn_like)(state) for state in states)]
        self.wanted = [self.x, *states, *self.module.parameters()]

    def forward(self):
        """As in training: everything that backward needs is kept."""
        return self.module(self.x, self.state)

    def total(self):
        """Forward and backward with the gradients of input, states and parameters."""
        y, state = self.forward()
        final = state if isinstance(state, tuple) else (state,)
        return torch.autograd.grad((y, *final), self.wanted, self.incoming)


class Product:
    """The matrix product of bench_rnn, with which the layers' rates are compared."""

    def __init__(self, m=1536, n=1024, k=768):
        self.a, self.b, self.c = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
        self.gflop = 2e-9 * m * n * k

    def rate(self):
        return 1e3 * self.gflop / min(milliseconds(lambda: torch.mm(self.a, self.b, out=self.c)) for _ in range(3))


def serve_rnn():
    key, layer, product = None, None, Product()
    for line in sys.stdin:
        words = line.split()
        if words[0] == "sgemm":
            answer = product.rate()
        else:
            wanted = (words[0], *map(int, words[1:8]))
            if wanted != key:
                key, layer = wanted, Layer(*wanted)
            torch.backends.mkldnn.set_flags(words[8] == "1")
            runs = range(int(words[9]))
            answer = {"forward": [milliseconds(layer.forward) for _ in runs],
                      "total": [milliseconds(layer.total) for _ in runs]}
        print(json.dumps(answer), flush=True)


class Attention:
    """Additive attention and pooling over time as one writes them in PyTorch, in the layout that it likes best, batch first.
    Attention runs over the queries one by one, as a decoder has to, or over all at once; causal pooling through cumulative sums or
    through a triangle of weights."""

    def __init__(self, line, form, T=50, S=100, B=64, H=256):
        self.line, self.form = line, form
        if line in ("pool", "causal"):
            S = 500
        random = lambda *shape, scale=1.0: ((torch.rand(shape) * 2 - 1) * scale).requires_grad_()
        self.keys, self.queries = random(B, S, H), random(B, T, H)
        self.w_key, self.w_query = random(H, H, scale=0.06), random(H, H, scale=0.06)
        self.bias, self.v = random(H, scale=0.06), random(H, scale=0.06)
        self.wanted = [self.keys, self.w_key, self.bias, self.v]
        if line in ("additive", "decoder"):
            self.wanted += [self.queries, self.w_query]
        self.triangle = torch.ones(S, S, dtype=torch.bool).triu(1) if form == "triangle_of_weights" else None
        self.incoming = torch.rand(self.forward().shape)

    def forward(self):
        return getattr(self, self.form)()

    def one_by_one(self):
        keys, contexts = self.keys @ self.w_key.T, []
        for query in self.queries.unbind(1):
            scores = torch.tanh(keys + (query @ self.w_query.T + self.bias)[:, None]) @ self.v
            contexts.append(torch.bmm(torch.softmax(scores, 1)[:, None], self.keys)[:, 0])
        return torch.stack(contexts, 1)

    def at_once(self):
        queries = self.queries @ self.w_query.T + self.bias
        scores = torch.tanh((self.keys @ self.w_key.T)[:, None] + queries[:, :, None]) @ self.v
        return torch.softmax(scores, 2) @ self.keys

    def scores(self):
        return torch.tanh(torch.nn.functional.linear(self.keys, self.w_key, self.bias)) @ self.v

    def whole(self):
        return torch.bmm(torch.softmax(self.scores(), 1)[:, None], self.keys)[:, 0]

    def sums(self):
        scores = self.scores()
        parts = torch.exp(scores - scores.amax(1, keepdim=True))[:, :, None]
        return (parts * self.keys).cumsum(1) / parts.cumsum(1)

    def triangle_of_weights(self):
        scores = self.scores()[:, None].masked_fill(self.triangle, -torch.inf)
        return torch.softmax(scores, 2) @ self.keys

    def total(self):
        return torch.autograd.grad(self.forward(), self.wanted, self.incoming)


def serve_attention():
    key, attention = None, None
    for line in sys.stdin:
        name, form, runs = line.split()
        if (name, form) != key:
            key, attention = (name, form), None  # one at a time: some take gigabytes
            attention = Attention(name, form)
        answer = [[milliseconds(work) for _ in range(int(runs))] for work in (attention.forward, attention.total)]
        print(json.dumps(answer), flush=True)


class Stream:
    """A text as B streams of equal length, read T tokens at a time: clseq_stream of include/clseq/data.h."""

    def __init__(self, tokens, steps, streams):
        length = (len(tokens) - 1) // streams
        self.windows, self.steps = length // steps, steps
        self.inputs, self.targets = (
            torch.stack([tokens[first + b * length:first + (b + 1) * length] for b in range(streams)], 1).contiguous()
            for first in (0, 1))

    def __iter__(self):
        for window in range(self.windows):
            part = slice(window * self.steps, (window + 1) * self.steps)
            yield self.inputs[part], self.targets[part]


class CharacterModel(nn.Module):
    """The model of samples/char_lm.c with --hidden 128 --layers 2, initialised by PyTorch."""

    def __init__(self, vocabulary):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, EMBEDDING)
        self.rnn = nn.LSTM(EMBEDDING, HIDDEN, LAYERS)
        self.out = nn.Linear(HIDDEN, vocabulary)

    def loss(self, inputs, targets, state):
        """The mean loss of a window, and the states after it."""
        y, state = self.rnn(self.embed(inputs), state)
        return nn.functional.cross_entropy(self.out(y).flatten(0, 1), targets.flatten()), state


class Training:
    """Truncated back-propagation with carried states, Adam and clipping. The loss is not read while it runs."""

    def __init__(self, vocabulary):
        self.model = CharacterModel(vocabulary)
        self.parameters = list(self.model.parameters())
        self.adam = torch.optim.Adam(self.parameters, lr=2e-3, fused=True)
        self.state = None
        self.sum = torch.zeros(())

    def step(self, inputs, targets):
        loss, state = self.model.loss(inputs, targets, self.state)
        self.state = tuple(s.detach() for s in state)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.adam.step()
        self.sum += loss.detach()


def read_tokens(path):
    """The tokens of a text, one for each kind of byte in ascending order, and how many kinds there are."""
    if path == "-":
        return torch.randint(RANDOM_KINDS, (RANDOM_TOKENS,)), RANDOM_KINDS
    with open(path, "rb") as file:
        text = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
    kinds, tokens = torch.unique(text, sorted=True, return_inverse=True)
    return tokens, len(kinds)


def serve_char_lm(path):
    tokens, vocabulary = read_tokens(path)
    training, stream = Training(vocabulary), Stream(tokens, T, B)
    windows = iter(stream)

    def steps(count):
        nonlocal windows
        for _ in range(count):
            window = next(windows, None)
            if window is None:
                windows = iter(stream)
                window = next(windows)
            training.step(*window)
        return training.sum.item()

    steps(20)
    for line in sys.stdin:
        count = int(line)
        print(json.dumps({"rate": 1e3 * count * T * B / milliseconds(lambda: steps(count))}), flush=True)


def validate(model, tokens):
    """The mean over all windows of their mean loss, from zero states."""
    streams = B
    while streams > 1 and len(tokens) < streams * T + 1:
        streams //= 2
    state, losses = None, []
    with torch.no_grad():
        for inputs, targets in Stream(tokens, T, streams):
            loss, state = model.loss(inputs, targets, state)
            losses.append(loss)
    return torch.stack(losses).mean().item()


def train_epochs(path, count):
    tokens, vocabulary = read_tokens(path)
    train_size = len(tokens) - int(len(tokens) * VALIDATION_PART)
    torch.manual_seed(1)
    training, stream = Training(vocabulary), Stream(tokens[:train_size], T, B)
    for epoch in range(1, count + 1):
        training.state = None
        training.sum.zero_()
        for window in stream:
            training.step(*window)
        print(json.dumps({"epoch": epoch, "loss": training.sum.item() / stream.windows,
                          "validation": validate(training.model, tokens[train_size:])}), flush=True)


def main():
    mode, threads, *rest = sys.argv[1:]
    torch.set_num_threads(int(threads))
    if mode == "rnn":
        serve_rnn()
    elif mode == "attention":
        serve_attention()
    elif mode == "char-lm":
        serve_char_lm(rest[0])
    else:
        train_epochs(rest[0], int(rest[1]))


main()
