"""Poisson, periodic, neural spectral method. Claim: .057 % (Du et al., ICLR 2024), with the network, batch and steps of `paper`; `cpu` is a
smaller network with a smooth activation."""

from _poisson import PAPER, Preset, coefficients, main, nsm, row, smoke

ROW = row("Poisson periodic, NSM", nsm, coefficients, {
    "smoke": smoke(),
    "cpu": Preset(24, 26_000, 3e-3),
    "paper": Preset(31, 30_000, size=PAPER),
}, published=5.7e-4, must=5.7e-4)

if __name__ == "__main__":
    main(ROW)
