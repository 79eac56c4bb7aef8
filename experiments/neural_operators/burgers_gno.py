"""Burgers, graph neural operator. Claim: .0555-.0699 at 256 ... 8192 nodes (JMLR 24(89), table 3).

Trained on the 128 nodes that its ball then sums over; the nodes of finer grids are dealt into grids of that size, not at random (Nystrom
sampling) as published.
"""

import math

from _burgers import LINE, Preset, TrainConfig, data, main, row, smoke

from pdesurr.models import GNO

PERIOD = 2 * math.pi


def network(train, key, width=32, depth=4, radius=0.25, nodes=128, kernel=(64, 32)):
    degree = math.ceil(2 * radius * nodes) + 2
    return GNO(1, 1, 1, radius * PERIOD, width, depth, kernel=kernel, nodes=nodes, max_degree=degree, period=(PERIOD,), key=key)


ROW = row("GNO", network, {
    "smoke": smoke(width=8, depth=2, kernel=(8,), nodes=64),
    "cpu": Preset(data(128), TrainConfig(epochs=40, batch_size=20, learning_rate=2e-2, optimiser="muon")),
}, symmetries=LINE, allowed={"cpu": 0.0555})

if __name__ == "__main__":
    main(ROW)
