"""Darcy, graph neural operator. Claim: .0346, .0332, .0342, .0369 at 85 ... 421 nodes an axis (JMLR 24(89), Darcy table).

Trained on random graphs of 300 nodes, another one for each sample and step; answers on a grid are put together from
grids of every s-th node. One kernel for all depths. As published the nodes know a smoothed coefficient beside their own, here over two
lengths; its gradient, which mirrors turn round, is left out.
"""

from _darcy import Preset, SampledL2, TrainConfig, data, main, named, row, smoke

ROW = row("GNO", named("GNO"), {
    "smoke": smoke(width=8, depth=2, kernel=(8,), nodes=100, head_width=8),
    "cpu": Preset(data(validation=16), TrainConfig(epochs=36, batch_size=5, learning_rate=5e-3, optimiser="muon"), (0,),
                  {"width": 32, "depth": 4, "radius": 0.2, "nodes": 300, "kernel": (64, 32)}),
    "paper": Preset(data(), TrainConfig(epochs=500, batch_size=20, learning_rate=1e-3), (0, 1, 2),
                    {"width": 64, "depth": 6, "radius": 0.25, "nodes": 300, "kernel": (256, 256)}),
}, objective=SampledL2(300), smoothed=(0.03, 0.08), allowed={"cpu": 0.0346})

if __name__ == "__main__":
    main(ROW)
