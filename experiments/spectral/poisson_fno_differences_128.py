"""Poisson, periodic, FNO and a finite-difference residual on 128 nodes an axis. Claim: an error between those of 64 and
256 nodes, 4.24 and 1.75 % (Du et al., ICLR 2024, "FNO + PINN")."""

from _poisson import Preset, differences, fno, main, row

ROW = row("Poisson periodic, FNO by differences, 128", fno, differences, {
    "smoke": Preset(20, 6, batch=2, size={"modes": 4, "width": 8, "depth": 1}, seeds=(0,), tests=(4, 4)),
    "cpu": Preset(128, 800, 3e-3, batch=8, seeds=(0,)),
    "paper": Preset(128, 30_000, size={"modes": 16, "width": 64}),
}, published=None, must=4.24e-2, tested=128)

if __name__ == "__main__":
    main(ROW)
