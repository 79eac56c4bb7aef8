"""The two sides of `fno_step.py`, each in a process of its own: ours imports JAX, the peer's torch and neuraloperator."""

import dataclasses
import itertools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import _harness as harness

LEARNING_RATE, DECAY = 1e-3, 1e-4


@dataclasses.dataclass(frozen=True)
class Work:
    """One measurement: which network, at which size, doing what."""

    shape: tuple[int, ...]
    modes: int
    width: int
    batch: int
    in_channels: int = 1
    block: str = "default"
    do: str = "train"

    @classmethod
    def of(cls, fields: dict[str, Any]) -> "Work":
        """From JSON, which turned the shape into a list."""
        return cls(**fields | {"shape": tuple(fields["shape"])})  # pyright: ignore[reportArgumentType]

    @property
    def name(self) -> str:
        size = "x".join(map(str, self.shape))
        return f"{self.do} {size} modes {self.modes} width {self.width} batch {self.batch} in {self.in_channels} {self.block}"


def data(work: Work) -> tuple[np.ndarray, np.ndarray]:
    """Smooth-ish random input and output, `(batch, *grid, channel)`."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((work.batch, *work.shape, work.in_channels)).astype(np.float32)
    u = rng.standard_normal((work.batch, *work.shape, 1)).astype(np.float32)
    return a, u


class Ours:
    """Commands of our worker. State stays on the device between commands."""

    def build(self, folder: str, fields: dict) -> dict:
        import equinox as eqx
        import jax
        import optax

        from pdesurr.fields import FourierBasis, Grid
        from pdesurr.models import FNO
        from pdesurr.types import Samples

        self.work = work = Work.of(fields)
        wide = {"channel_mlp": 0.5, "lifting_width": 2 * work.width, "head_width": 2 * work.width}
        self.model = FNO(work.in_channels, 1, (work.modes,) * len(work.shape), work.width, key=jax.random.key(0),
                         coordinates=(True,) * len(work.shape), **(wide if work.block == "default" else {}))
        a, u = map(jax.numpy.asarray, data(work))
        grid = Grid([FourierBasis(n, 0.0, 1.0) for n in work.shape])
        self.optimiser = optax.adamw(LEARNING_RATE, weight_decay=DECAY)
        self.state = jax.jit(self.optimiser.init)(self.model)

        def loss(model, a, u):
            error = model.batched(Samples(grid, a)) - u
            axes = tuple(range(1, u.ndim))
            return jax.numpy.mean(jax.numpy.sqrt((error**2).sum(axes) / (u**2).sum(axes)))

        def step(model, state, a, u):
            value, gradient = jax.value_and_grad(loss)(model, a, u)
            updates, state = self.optimiser.update(gradient, state, model)
            return eqx.apply_updates(model, updates), state, value

        def epoch(model, state, a, u):
            def body(carry, batch):
                model, state, value = step(*carry, *batch)
                return (model, state), value

            (model, state), values = jax.lax.scan(body, (model, state), (a, u))
            return model, state, values[-1]

        self.a, self.u = a, u
        self.step = jax.jit(step, donate_argnums=(0, 1))
        self.epoch = jax.jit(epoch, donate_argnums=(0, 1))
        self.forward = jax.jit(lambda model, a: model.batched(Samples(grid, a)))
        np.savez(Path(folder) / "weights.npz", allow_pickle=False, **exchange(self.model))
        np.save(Path(folder) / "ours.npy", np.asarray(self.forward(self.model, a)))
        with jax.enable_x64(True):
            wide = jax.tree.map(lambda x: np.asarray(x, np.float64), self.model)
            np.save(Path(folder) / "exact.npy", wide.batched(Samples(grid, jax.numpy.asarray(a[:1], np.float64))))
        return {"parameters": sum(x.size for x in jax.tree.leaves(self.model))}

    def train(self, steps: int) -> dict:
        seconds = []
        for _ in range(steps):
            start = time.perf_counter()
            self.model, self.state, value = self.step(self.model, self.state, self.a, self.u)
            value.block_until_ready()
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds}

    def run_epoch(self, steps: int) -> dict:
        """`steps` batches inside one compiled scan."""
        import jax.numpy as jnp

        a, u = (jnp.broadcast_to(x, (steps, *x.shape)) for x in (self.a, self.u))
        start = time.perf_counter()
        self.model, self.state, value = self.epoch(self.model, self.state, a, u)
        value.block_until_ready()
        return {"seconds": [time.perf_counter() - start]}

    def infer(self, steps: int) -> dict:
        seconds = []
        for _ in range(steps):
            start = time.perf_counter()
            self.forward(self.model, self.a).block_until_ready()
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds}

    def memory(self) -> dict:
        return {"mb": harness.peak_mb()}


def exchange(model) -> dict[str, np.ndarray]:
    """Our weights under the peer's names. The peer orders full axes from -(m-1) to m-1."""
    out = {}
    for name, layers in (("lifting", model.lifting), ("projection", model.head)):
        for i, layer in enumerate(layers):
            out |= _linear(f"{name}.fcs.{i}", layer)
    for i, block in enumerate(model.blocks):
        weight, d = np.asarray(block.spectral.weight), len(model.modes)
        weight = weight[..., 0, :, :] + 1j * weight[..., 1, :, :]
        for axis, m in enumerate(model.modes[:-1]):
            weight = np.take(weight, [*range(2 * m - 2, m - 1, -1), *range(m)], axis=axis)
        out[f"fno_blocks.convs.{i}.weight.tensor"] = np.transpose(weight, (d + 1, d, *range(d)))
        out[f"fno_blocks.convs.{i}.bias"] = np.asarray(block.bias).reshape(-1, *(1,) * d)
        out[f"fno_blocks.fno_skips.{i}.conv.weight"] = np.asarray(block.bypass.weight)[..., None]
        if block.mlp is not None:
            out |= _linear(f"fno_blocks.channel_mlp.{i}.fcs.0", block.mlp[0])
            out |= _linear(f"fno_blocks.channel_mlp.{i}.fcs.1", block.mlp[1])
            out[f"fno_blocks.channel_mlp_skips.{i}.weight"] = np.asarray(block.gate).reshape(1, -1, *(1,) * d)
    return {name: np.ascontiguousarray(value) for name, value in out.items()}


def _linear(name: str, layer) -> dict[str, np.ndarray]:
    return {f"{name}.weight": np.asarray(layer.weight)[..., None], f"{name}.bias": np.asarray(layer.bias)}


class Peer:
    """Commands of the peer's worker."""

    def build(self, folder: str, fields: dict) -> dict:
        import torch  # pyright: ignore[reportMissingImports]
        from neuralop.models import FNO  # pyright: ignore[reportMissingImports]

        self.shift_back_correctly()
        self.work = work = Work.of(fields)
        classic = {"use_channel_mlp": False, "lifting_channel_ratio": 0, "projection_channel_ratio": 128 / work.width}
        self.model = FNO(n_modes=(2 * work.modes - 1,) * len(work.shape), in_channels=work.in_channels, out_channels=1,
                         hidden_channels=work.width, **(classic if work.block == "classic" else {}))
        weights = {k: torch.from_numpy(v) for k, v in np.load(Path(folder) / "weights.npz").items()}
        state = self.model.state_dict()
        matched = {k: next(v for name, v in weights.items() if _same(name, k)) for k in state if k != "_metadata"}
        self.model.load_state_dict(matched | {k: v for k, v in state.items() if k == "_metadata"})
        self.a, self.u = (torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1))) for x in data(work))
        ours = np.load(Path(folder) / "ours.npy")
        with torch.inference_mode():
            theirs = np.moveaxis(self.forward(self.a).numpy(), 1, -1)
        exact, size = np.load(Path(folder) / "exact.npy"), np.abs(ours).max()
        real = sum(p.numel() * (2 if p.is_complex() else 1) for p in self.model.parameters())
        return {"parameters": real, "ours_error": float(np.abs(ours[:1] - exact).max() / size),
                "peer_error": float(np.abs(theirs[:1] - exact).max() / size),
                "difference": float(np.abs(theirs - ours).max() / size)}

    @staticmethod
    def shift_back_correctly() -> None:
        """neuraloperator 2.0 undoes `fftshift` by `fftshift`: on an odd axis that is off by one wavenumber, and its network is
        another function there. The inverse shift costs the same. Its layer shifts once forward, once back, in turn."""
        import torch  # pyright: ignore[reportMissingImports]

        turns = itertools.cycle((torch.fft.fftshift, torch.fft.ifftshift))
        torch.fft.fftshift = lambda *args, **kwargs: next(turns)(*args, **kwargs)

    def forward(self, a):
        """The peer's network; "classic" is put together from its layers, since its own block would apply GELU twice."""
        if self.work.block == "default":
            return self.model(a)
        from torch.nn.functional import gelu  # pyright: ignore[reportMissingImports]

        blocks, v = self.model.fno_blocks, self.model.lifting(self.model.positional_embedding(a))
        for i in range(len(blocks.convs)):
            v = blocks.fno_skips[i](v) + blocks.convs[i](v)
            v = v if i == len(blocks.convs) - 1 else gelu(v)
        return self.model.projection(v)

    def settings(self, threads: int, foreach: bool) -> dict:
        import torch  # pyright: ignore[reportMissingImports]

        torch.set_num_threads(threads)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE, weight_decay=DECAY, foreach=foreach)
        return {}

    def place(self, precision: str) -> dict:
        """Onto the GPU, compiled, in a precision of `fno_device.py`."""
        import torch  # pyright: ignore[reportMissingImports]

        torch.set_float32_matmul_precision("highest" if precision == "float32" else "high")
        torch.backends.cudnn.allow_tf32 = precision != "float32"
        self.autocast = precision == "bfloat16"
        self.model, self.a, self.u = self.model.cuda(), self.a.cuda(), self.u.cuda()
        plain, compiled = self.forward, torch.compile(self.forward)

        def forward(a):
            with torch.autocast("cuda", torch.bfloat16, enabled=self.autocast):
                return compiled(a)

        self.forward, self.plain = forward, plain
        return {}

    def train(self, steps: int) -> dict:
        import torch  # pyright: ignore[reportMissingImports]

        seconds = []
        axes = tuple(range(1, self.u.ndim))
        for _ in range(steps):
            start = time.perf_counter()
            self.optimiser.zero_grad(set_to_none=True)
            error = self.forward(self.a) - self.u
            loss = torch.sqrt((error**2).sum(axes) / (self.u**2).sum(axes)).mean()
            loss.backward()
            self.optimiser.step()
            loss.item()
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds}

    def infer(self, steps: int) -> dict:
        import torch  # pyright: ignore[reportMissingImports]

        seconds = []
        with torch.inference_mode():
            for _ in range(steps):
                start = time.perf_counter()
                u = self.forward(self.a)
                u.reshape(-1)[0].item()  # on a GPU the answer is not there yet
                seconds.append(time.perf_counter() - start)
        return {"seconds": seconds}

    def memory(self) -> dict:
        return {"mb": harness.peak_mb()}


def _same(ours: str, theirs: str) -> bool:
    return ours == theirs or ours == theirs.replace(".weight.tensor", ".weight")


def main(side: str) -> None:
    state = Ours() if side == "ours" else Peer()
    if side == "ours":
        from pdesurr.allocator import tune_allocator

        tune_allocator()
    harness.serve({name: getattr(state, name) for name in dir(state) if not name.startswith("_") and callable(getattr(state, name))})


if __name__ == "__main__":
    main(sys.argv[1])
