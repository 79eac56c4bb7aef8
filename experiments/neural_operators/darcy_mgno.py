"""Darcy, multipole graph operator. Claim: .0416, .0428, .0428, .0420 at 85 ... 421 nodes an axis (JMLR 24(89), Darcy table).

Levels of 400, 100 and 25 random nodes, of 300, 75 and 19 on a CPU, other ones for each sample and step; the published radii. (MgNO, the
multigrid operator, is another model: `darcy_mgno_multigrid.py`.)
"""

from _darcy import Preset, SampledL2, TrainConfig, data, main, named, row, small, smoke

ROW = row("MGNO, graph", named("MultipoleGraphOperator"), {
    "smoke": smoke(width=4, nodes=(100, 25), radii=(0.25, 0.5), between=(0.125,), cycles=1, kernel_width=8, head_width=8),
    "cpu": Preset(small(train=300), TrainConfig(epochs=40, batch_size=20, learning_rate=2e-3), (0,),
                  {"width": 24, "nodes": (300, 75, 19), "cycles": 2, "kernel_width": 32}),
    "paper": Preset(data(), TrainConfig(epochs=500, batch_size=20, learning_rate=1e-3), (0, 1, 2),
                    {"width": 64, "nodes": (400, 100, 25), "cycles": 5, "kernel_width": 256}),
}, objective=SampledL2(375), allowed={"cpu": 0.2}, reduced=("cpu",))

if __name__ == "__main__":
    main(ROW)
