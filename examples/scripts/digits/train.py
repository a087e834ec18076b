"""A training script as people have them: digits, a small network, a table of epochs. It knows nothing of sigmalab."""

import argparse
import csv
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

NUM_TRAIN, NUM_VAL = 300, 300


def main() -> None:
    """Train, and write what each epoch gives."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--width", type=int, default=32, help="of the hidden layer")
    parser.add_argument("--out", type=Path, default=Path("summary.csv"))
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    images, labels = load()
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, options.width), nn.ReLU(), nn.Linear(options.width, 10))
    optimizer = torch.optim.Adam(network.parameters(), lr=options.lr)
    with options.out.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["epoch", "train_loss", "val_acc", "test_acc"])
        for epoch in range(options.epochs):
            loss = train_epoch(network, optimizer, images[:NUM_TRAIN], labels[:NUM_TRAIN])
            val = accuracy(network, images[NUM_TRAIN:][:NUM_VAL], labels[NUM_TRAIN:][:NUM_VAL])
            test = accuracy(network, images[NUM_TRAIN + NUM_VAL :], labels[NUM_TRAIN + NUM_VAL :])
            table.writerow([epoch, loss, val, test])
            file.flush()
            print(f"epoch {epoch}: loss {loss:.3f}, val {val:.1f} %")


def load() -> tuple[Tensor, Tensor]:
    """All digits, in one order whatever the seed is: [n, 8, 8] in 0 to 1, and their classes [n]."""
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(1))
    return torch.tensor(digits.images, dtype=torch.float32)[order] / 16, torch.tensor(digits.target)[order]


def train_epoch(network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> float:
    """One pass over the training images; gives their mean loss."""
    losses = []
    for batch in torch.randperm(len(images)).split(50):
        loss = F.cross_entropy(network(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Percent of images whose class is found."""
    with torch.no_grad():
        return 100 * (network(images).argmax(1) == labels).float().mean().item()


if __name__ == "__main__":
    main()
