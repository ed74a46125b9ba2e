"""Networks in PyTorch's layers, without weights, and the shapes of their inputs: what compare_torch.py times."""
import torch
from torch import nn
from torch.nn import functional


class Bottleneck(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width))
        self.shortcut = nn.Identity() if stride == 1 and channels == 4 * width else nn.Sequential(
            nn.Conv2d(channels, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))

    def forward(self, x):
        return functional.relu(self.layers(x) + self.shortcut(x))


def resnet50():
    blocks, channels = [], 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for n in range(count):
            blocks.append(Bottleneck(channels, width, stride if n == 0 else 1))
            channels = 4 * width
    return nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1), *blocks,
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def vgg16():
    layers, channels = [], 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(),
                         nn.Linear(4096, 1000))


class UNet(nn.Module):
    """Five levels of 32 to 512 channels."""

    def __init__(self, widths=(32, 64, 128, 256, 512)):
        super().__init__()
        self.down = nn.ModuleList(self.pair(a, b) for a, b in zip((3, *widths), widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in zip(widths, widths[1:]))
        self.across = nn.ModuleList(self.pair(2 * a, a) for a in widths[:-1])
        self.last = nn.Conv2d(widths[0], 2, 1)

    @staticmethod
    def pair(a, b):
        return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.Conv2d(b, b, 3, padding=1), nn.ReLU())

    def forward(self, x):
        kept = []
        for level in self.down:
            x = level(functional.max_pool2d(x, 2) if kept else x)
            kept.append(x)
        for up, across, left in reversed(list(zip(self.up, self.across, kept))):
            x = across(torch.cat([left, up(x)], 1))
        return self.last(x)


class WaveNet(nn.Module):
    """Gated, dilated convolutions along time: three stacks of ten, 64 channels."""

    def __init__(self, channels=64, stacks=3, depth=10):
        super().__init__()
        self.first = nn.Conv1d(1, channels, 1)
        self.gates = nn.ModuleList(nn.Conv1d(channels, 2 * channels, 2, dilation=2**i) for _ in range(stacks) for i in range(depth))
        self.mixes = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in self.gates)
        self.last = nn.Conv1d(channels, 256, 1)

    def forward(self, x):
        x = self.first(x)
        for gate, mix in zip(self.gates, self.mixes):
            value, opened = gate(functional.pad(x, (gate.dilation[0], 0))).chunk(2, 1)
            x = x + mix(torch.tanh(value) * torch.sigmoid(opened))
        return self.last(functional.relu(x))


NETWORKS = {"resnet50": resnet50, "vgg16": vgg16, "unet": UNet, "wavenet": WaveNet}
INPUTS = {"wavenet": (1, 4096), "r3d_18": (3, 8, 112, 112), "mc3_18": (3, 8, 112, 112)}  # of one image; others (3, 224, 224)


def network(name):
    """A network by its name, one of ours or torchvision's, and the shape of one image; or None."""
    if name in NETWORKS:
        return NETWORKS[name](), INPUTS.get(name, (3, 224, 224))
    try:
        import torchvision
    except ImportError:
        return None
    places = torchvision.models, torchvision.models.video
    make = next((getattr(place, name) for place in places if name.islower() and callable(getattr(place, name, None))), None)
    return make and (make(weights=None), INPUTS.get(name, (3, 224, 224)))
