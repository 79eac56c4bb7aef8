"""The public Navier-Stokes scheme in torch, in the peers' environment: written from its description, timed a step at a time.

Vorticity on the unit torus; stream function, velocity and gradient by inverse FFTs; the advective product de-aliased by the 2/3
rule; forward Euler for it and the forcing, Crank-Nicolson for viscosity; five real FFTs a step; float32, the whole batch at once.
"""

import math
import time

import _harness as harness
import torch  # pyright: ignore[reportMissingImports]


class Scheme:
    """State and tables."""

    def build(self, n: int, batch: int, start: list | None) -> dict:
        k = torch.fft.fftfreq(n, 1 / n)[:, None].repeat(1, n // 2 + 1)
        m = torch.arange(n // 2 + 1)[None, :].repeat(n, 1).float()
        square = 4 * math.pi**2 * (k**2 + m**2)
        square[0, 0] = 1.0
        self.ikx, self.iky = 2j * math.pi * k, 2j * math.pi * m
        self.inverse, self.n = 1 / square, n
        self.mask = ((k.abs() < n / 3) & (m < n / 3)).float()
        x = torch.arange(n) / n
        phase = 2 * math.pi * (x[:, None] + x[None, :])
        self.force = torch.fft.rfft2(0.1 * (torch.sin(phase) + torch.cos(phase)))
        square[0, 0] = 0.0
        self.diffusion = 0.5 * 1e-4 * 1e-3 * square
        self.first = torch.tensor(start) if start is not None else torch.randn(batch, n, n)
        return {}

    def advance(self, w_hat, count: int):
        size = (self.n, self.n)
        for _ in range(count):
            psi = w_hat * self.inverse
            u = torch.fft.irfft2(self.iky * psi, s=size)
            v = torch.fft.irfft2(-self.ikx * psi, s=size)
            w_x = torch.fft.irfft2(self.ikx * w_hat, s=size)
            w_y = torch.fft.irfft2(self.iky * w_hat, s=size)
            product = torch.fft.rfft2(u * w_x + v * w_y) * self.mask
            w_hat = ((1 - self.diffusion) * w_hat - 1e-4 * product + 1e-4 * self.force) / (1 + self.diffusion)
        return w_hat

    def steps(self, count: int, threads: int) -> dict:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            w_hat = torch.fft.rfft2(self.first)
            self.advance(w_hat, 2)
            start = time.perf_counter()
            self.advance(w_hat, count)
            return {"seconds": time.perf_counter() - start}

    def compare(self, count: int, expected: list) -> dict:
        with torch.inference_mode():
            w = torch.fft.irfft2(self.advance(torch.fft.rfft2(self.first[:1]), count), s=(self.n, self.n))[0]
        truth = torch.tensor(expected)
        return {"difference": float((w - truth).norm() / truth.norm())}

    def memory(self) -> dict:
        return {"mb": harness.peak_mb()}


if __name__ == "__main__":
    scheme = Scheme()
    harness.serve({name: getattr(scheme, name) for name in ("build", "steps", "compare", "memory")})
