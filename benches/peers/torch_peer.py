"""PyTorch in the comparison."""

import os

import measure
import numpy as np
import torch
from torch import nn


class Torch:
    setting = "channels_last; training eager, with the fused Adam; prediction by torch.compile in inference_mode"

    def __init__(self, train: measure.Split, test: measure.Split) -> None:
        torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
        self.x, self.x_test = images(train), images(test)
        self.y = torch.from_numpy(train.labels.astype(np.int64))
        self.singles = self.x_test.split(1)
        self.model = nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(1600, 10),
        ).to(memory_format=torch.channels_last)
        # Compiled for the shapes that occur: full batches, the last one, one image.
        self.probabilities = torch.compile(self.probabilities, dynamic=False)

    def train(self, n: int, seed: int) -> None:
        torch.manual_seed(seed)
        for parameter in self.model.parameters():  # Keras's initializers
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)
        optimizer = torch.optim.Adam(self.model.parameters(), eps=1e-7, fused=True)
        loss = nn.CrossEntropyLoss()
        for batch in torch.randperm(n).split(measure.BATCH):
            optimizer.zero_grad()
            loss(self.model(self.x[batch]), self.y[batch]).backward()
            optimizer.step()

    @torch.inference_mode()
    def predict_all(self) -> np.ndarray:
        return torch.cat([self.probabilities(x) for x in self.x_test.split(measure.PREDICTION_BATCH)]).numpy()

    @torch.inference_mode()
    def predict_one(self, i: int) -> np.ndarray:
        return self.probabilities(self.singles[i]).numpy()

    def probabilities(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x).softmax(1)


def images(split: measure.Split) -> torch.Tensor:
    return torch.from_numpy(split.images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    measure.run(Torch)
