"""Darcy, multipole graph operator. Claim: .0416, .0428, .0428, .0420 at 85 ... 421 nodes an axis (JMLR 24(89), Darcy table).

Levels of 400, 100 and 25 random nodes, other ones for each sample and step; the published radii. The nodes know averages of the
coefficient, as in `darcy_gno.py`. (MgNO, the multigrid operator, is another model: `darcy_mgno_multigrid.py`.)
"""

from _darcy import Preset, SampledL2, TrainConfig, data, main, named, row, smoke

ROW = row("MGNO, graph", named("MultipoleGraphOperator"), {
    "smoke": smoke(width=4, nodes=(100, 25), radii=(0.25, 0.5), between=(0.125,), cycles=1, kernel_width=8, head_width=8),
    "cpu": Preset(data(validation=16), TrainConfig(epochs=15, batch_size=5, learning_rate=5e-3, optimiser="muon"), (0,),
                  {"width": 24, "nodes": (400, 100, 25), "cycles": 2, "kernel_width": 32}),
    "paper": Preset(data(), TrainConfig(epochs=500, batch_size=20, learning_rate=1e-3), (0, 1, 2),
                    {"width": 64, "nodes": (400, 100, 25), "cycles": 5, "kernel_width": 256}),
}, objective=SampledL2(375), smoothed=(0.03, 0.08), allowed={"cpu": 0.0416})

if __name__ == "__main__":
    main(ROW)
