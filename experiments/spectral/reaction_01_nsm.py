"""Reaction-diffusion at nu = 0.01, neural spectral method."""

from _reaction import main, row

ROW = row(0.01)

if __name__ == "__main__":
    main(ROW)
