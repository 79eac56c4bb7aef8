"""Burgers, multipole graph operator in its orthogonal form. Claim: .0243-.0374 at 256 ... 8192 nodes (JMLR 24(89), table 3).

Trained on 128 nodes with as many levels as make the near part the next neighbours; finer grids add levels to the near part alone.
"""

from _burgers import LINE, Preset, TrainConfig, data, main, row, smoke

from pdesurr.models import OrthogonalMultipole


def network(train, key, width=32, levels=6, cycles=4, kernel_width=64):
    return OrthogonalMultipole(1, 1, width, levels, cycles=cycles, kernel_width=kernel_width, key=key)


ROW = row("MGNO", network, {
    "smoke": smoke(width=8, levels=4, cycles=1, kernel_width=16),
    "cpu": Preset(data(128), TrainConfig(epochs=60, batch_size=20, learning_rate=5e-3, optimiser="muon"), (0,),
                  {"width": 16, "levels": 5, "cycles": 3, "kernel_width": 32}),
}, symmetries=LINE, allowed={"cpu": 0.0374})

if __name__ == "__main__":
    main(ROW)
