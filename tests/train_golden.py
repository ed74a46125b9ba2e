"""PyTorch's numbers for tests/train_trainer.c: python3 tests/train_golden.py (needs torch; 1.13 made those that are there).

One network with batch norm in double, all samples in one batch, ten steps with each optimiser and schedule: the loss
of each step, then the norm of its gradient, then the sum and the sum of squares of each parameter at the end.
"""
import math

import torch
from torch import nn

torch.set_default_dtype(torch.float64)
STEPS, SAMPLES = 10, 12


def number(i, modulus, scale):
    return ((i * 37) % modulus - modulus // 2) / scale


def network():
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, stride=(1, 2)), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2, stride=2),
        nn.MaxPool2d(3, stride=2, padding=1), nn.LeakyReLU(0.1), nn.AvgPool2d((2, 2), stride=1, padding=1), nn.Flatten(),
        nn.Linear(3 * 7 * 4, 3))
    at = 0
    with torch.no_grad():
        for parameter in net.parameters():
            flat = parameter.view(-1)
            for i in range(flat.numel()):
                flat[i] = number(at, 101, 150)
                at += 1
    return net


def train(make, schedule, clip):
    net = network()
    optimizer = make(net.parameters())
    scheduler = schedule(optimizer) if schedule else None
    count = SAMPLES * 2 * 6 * 5
    x = torch.tensor([number(i, 97, 50) for i in range(count)]).view(SAMPLES, 2, 6, 5)
    y = torch.tensor([i % 3 for i in range(SAMPLES)])
    losses, norms = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        norm = math.sqrt(sum(float((p.grad ** 2).sum()) for p in net.parameters()))
        for p in net.parameters():
            if clip and norm > clip:
                p.grad *= clip / norm
        optimizer.step()
        if scheduler:
            scheduler.step()
        losses.append(loss.item())
        norms.append(norm)
    ends = []
    for name, value in net.state_dict().items():
        if "tracked" not in name:
            ends += [value.sum().item(), (value ** 2).sum().item()]
    return losses + norms + ends


def cosine(optimizer):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)


def stairs(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5)


CASES = [
    ("SGD", lambda p: torch.optim.SGD(p, 0.1), None, 0),
    ("SGD, momentum, decay, cosine", lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.01), cosine, 0),
    ("SGD, Nesterov, decay, steps, clipping", lambda p: torch.optim.SGD(p, 0.1, 0.8, weight_decay=0.02, nesterov=True),
     stairs, 0.3),
    ("AdamW, cosine", lambda p: torch.optim.AdamW(p, 0.01, (0.8, 0.95), 1e-6, 0.1), cosine, 0),
]
for title, *case in CASES:
    print("    /* %s */" % title)
    print("    {" + ",\n     ".join("%.17g" % value for value in train(*case)) + "},")
