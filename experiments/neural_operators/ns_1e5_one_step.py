"""Navier-Stokes, nu = 1e-5, one step trained and rolled out (Markov). Claim: .015-.024 at 64 x 64 over ten records from one (MgNO, F-FNO).

A factorised FNO answers the change to the next record from the last one alone, with noise on its input (Tran et al., ICLR 2023), and is
then rolled out. `paper` takes t = 0 and ten records, as MgNO does; `cpu` is the small form of `_navier_stokes.py`.
"""

from _navier_stokes import OneStep, Preset, TrainConfig, main, paper, row, short, smoke

from pdesurr.models import FFNO


def network(train, key, modes=16, width=64, depth=24):
    return FFNO(train.inputs.shape[-1], 1, (modes, modes), width, depth, coordinates=(True, True), key=key)


ROW = row("1e-5 F-FNO, one step", network, {
    "smoke": smoke(modes=4, width=4, depth=2),
    "cpu": Preset(short("1e-5", refinement=2, horizon=10, intervals=10, history=1),
                  TrainConfig(epochs=40, batch_size=20, learning_rate=5e-3, optimiser="muon"),
                  size={"modes": 12, "width": 20, "depth": 4}),
    "paper": Preset(paper("1e-5", horizon=10, intervals=10, history=1),
                    TrainConfig(epochs=200, batch_size=20, learning_rate=2.5e-3), (0, 1, 2)),
}, {"64x64": 0.024}, one_step=OneStep(noise=0.01, residual=True), allowed={"cpu": 0.3})

if __name__ == "__main__":
    main(ROW)
