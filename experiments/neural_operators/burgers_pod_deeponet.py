"""Burgers, POD-DeepONet: the trunk is the training outputs' principal components (Lu et al., CMAME 393). Published: .0194 at 128 nodes."""

from _burgers import LINE, Preset, TrainConfig, data, main, row, smoke

from pdesurr.models import PODDeepONet, pod_modes


def network(train, key, rank=64, width=256, depth=4):
    modes = pod_modes(train.outputs, train.grid, rank)
    return PODDeepONet(1, 1, train.grid.shape, rank, width, depth, modes=modes, key=key)


ROW = row("POD-DeepONet", network, {
    "smoke": smoke(rank=8, width=16, depth=2),
    "cpu": Preset(data(128), TrainConfig(epochs=100, batch_size=20, learning_rate=4e-3, optimiser="muon"), (0, 1, 2)),
}, symmetries=LINE, symmetrised="line", allowed={"cpu": 0.025})

if __name__ == "__main__":
    main(ROW)
