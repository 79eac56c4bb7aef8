"""Darcy, MgNO (multigrid V-cycles, He, Liu and Xu, ICLR 2024). Claim: closer than FNO. A network is bound to its resolution: the row is
of 85, that of 211 is `darcy_mgno_multigrid_211.py`.
"""

from _darcy import Preset, TrainConfig, data, main, relative_h1, row, smoke

from pdesurr.models import MgNO


def network(train, key, width=24, depth=5):
    return MgNO(1, 1, train.grid.shape, width, depth, boundary=("dirichlet", "dirichlet"), key=key)


ROW = row("MgNO", network, {
    "smoke": smoke(width=6, depth=2),
    "cpu": Preset(data(tests=(5,)), TrainConfig(epochs=50, batch_size=4, learning_rate=4e-3, ema_decay=0.995, optimiser="muon"), (0,),
                  {"width": 16, "depth": 4}),
    "paper": Preset(data(tests=(5,)), TrainConfig(epochs=500, batch_size=8, learning_rate=5e-4), (0, 1, 2)),
}, objective=relative_h1, best_known={"85x85": 0.0044}, allowed={"cpu": 0.0036})

if __name__ == "__main__":
    main(ROW)
