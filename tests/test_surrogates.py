"""The artefact: predictions, warnings, gradients, and bundles that cannot be trusted."""

import dataclasses
import json
import re
import warnings
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from pdesurr._files import MANIFEST, sha256
from pdesurr.checks import BundleError, UsageError
from pdesurr.data.scaling import ChannelScaler, Scaled
from pdesurr.models import FNO
from pdesurr.pdes import Burgers
from pdesurr.surrogates import Channel, RangeWarning, Spec, Surrogate, load_surrogate, save_surrogate
from pdesurr.surrogates.compare import best_within, break_even, cheapest_setting, pareto_front, sample_errors, seconds_per_sample
from pdesurr.surrogates.traits import ranges

PDE = Burgers(nu=0.5)
GRID = PDE.grid(32)
ERROR = {"mean": 0.01, "median": 0.01, "p95": 0.02, "max": 0.03, "samples": 5}


def build():
    channel = lambda t: (Channel("u", t, "1", -4.0, 4.0),)  # noqa: E731
    spec = Spec(
        "Burgers", PDE.parameters, GRID, channel(0.0), channel(1.0), (0.1, 9.0), {"name": "set"}, {"epochs": 1}, {"32": ERROR}, 1e-8
    )
    model = FNO(1, 1, (5,), 6, 2, head_width=8, coordinates=(False,), key=jax.random.key(0))
    return Surrogate(Scaled(model, ChannelScaler((0.0,), (1.1,)), ChannelScaler((0.1,), (0.9,))), spec)


@pytest.fixture(scope="module")
def surrogate():
    return build()


@pytest.fixture
def bundle(surrogate, tmp_path):
    return save_surrogate(surrogate, tmp_path / "bundle")


def inputs(n=3, grid=GRID):
    return jax.vmap(lambda k: PDE.sample(k, grid))(jax.random.split(jax.random.key(1), n))


def test_predict_on_batches_single_samples_and_other_resolutions(surrogate):
    a = inputs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        u = surrogate.predict(a)
    np.testing.assert_allclose(surrogate.predict(np.asarray(a[0])), u[0], atol=1e-6)
    with pytest.warns(RangeWarning, match=r"resolution \(64,\) was not tested; tested were \(32,\)"):
        assert surrogate.predict(inputs(2, PDE.grid(64))).shape == (2, 64, 1)
    untested = Surrogate(surrogate.model, dataclasses.replace(surrogate.spec, errors={}))
    assert not untested.range_warnings(a, GRID)
    assert "none was, training was at (32,)" in untested.range_warnings(inputs(1, PDE.grid(64)), PDE.grid(64))[0]


def test_warnings_outside_the_trained_range(surrogate):
    a = inputs(1)[0]
    with pytest.warns(RangeWarning) as found:
        surrogate.predict(a + 10)
    assert "training saw [-4, 4]" in str(found[0].message) and "input norms" in str(found[1].message)
    with pytest.warns(RangeWarning, match="input norms"):
        surrogate.predict(a * 1e-3)


def test_an_answer_comes_with_the_error_that_is_known_of_it(surrogate):
    a = inputs()
    u, e = surrogate.predict(a, error=True)
    np.testing.assert_array_equal(u, surrogate.predict(a))
    np.testing.assert_array_equal(e, [ERROR["p95"]] * 3)
    with pytest.warns(RangeWarning):
        assert surrogate.predict(a.at[1].add(10.0), error=True)[1].tolist() == [0.02, np.inf, 0.02]
    assert surrogate.predict(a[0], error=True)[1] == 0.02
    untested = Surrogate(surrogate.model, dataclasses.replace(surrogate.spec, errors={}))
    assert np.isinf(untested.predict(a, error=True)[1]).all()
    with pytest.raises(UsageError, match="inside jit"):
        jax.jit(lambda v: surrogate.predict(v, error=True))(a)


def test_an_input_that_only_its_mean_or_its_roughness_gives_away_is_named(surrogate):
    a = inputs(20)
    knows = Surrogate(surrogate.model, dataclasses.replace(surrogate.spec, traits=ranges(a)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        knows.predict(a)
    with pytest.warns(RangeWarning, match="mean of channel 0"):
        assert np.isinf(knows.predict(a[0] + 0.5, error=True)[1])
    with pytest.warns(RangeWarning, match="peak of channel 0"):  # a step has none
        assert np.isinf(knows.predict(jnp.where(jnp.arange(32)[:, None] < 16, 1.0, -1.0).astype(a.dtype), error=True)[1])
    low, high = knows.spec.traits["roughness"]
    with pytest.warns(RangeWarning, match=re.escape(f"training saw [{low:.3g}, {high:.3g}]")):
        waves = sum(jnp.sin(k * GRID.nodes) for k in (13, 14, 15)) / 3
        assert np.isinf(knows.predict(jnp.asarray(waves, a.dtype), error=True)[1])


@pytest.mark.parametrize(
    ("a", "words"),
    [
        (np.zeros((32,)), r"add the channel axis with a\[..., None\]"),
        (np.zeros((32, 2)), "the channel is u"),
        (np.zeros((3, 3, 32, 1)), "one batch axis"),
        (np.zeros((7, 1)), "modes"),
        (np.full((32, 1), np.nan), "finite values"),
    ],
)
def test_bad_inputs_are_named(surrogate, a, words):
    with pytest.raises(UsageError, match=words):
        surrogate.predict(a)


def test_jit_vmap_and_grad_go_through(surrogate):
    a = inputs()
    u = jax.jit(surrogate)(a)
    np.testing.assert_allclose(surrogate(a[0]), u[0], atol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(surrogate))(a), u, atol=1e-5)
    objective = jax.jit(lambda v: jnp.sum(surrogate(v) ** 2))
    slope, h = jax.grad(objective)(a[0]), 1e-2
    direction = jnp.cos(jnp.asarray(GRID.bases[0].nodes, jnp.float32))[:, None]
    difference = (objective(a[0] + h * direction) - objective(a[0] - h * direction)) / (2 * h)
    np.testing.assert_allclose(jnp.vdot(slope, direction), difference, rtol=2e-3)
    np.testing.assert_allclose(jax.jit(surrogate.predict)(a), u, atol=1e-6)
    assert jax.jit(jax.grad(lambda v: jnp.sum(surrogate.predict(v))))(a[0]).shape == a[0].shape


def test_a_gradient_outside_jit_does_not_compile_each_operation(surrogate):
    compiled, a = [], inputs()[0, ::2]  # a resolution of its own
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration_secs, **_: compiled.append(event) if event.endswith("backend_compile_duration") else None)
    jax.grad(lambda v: jnp.sum(surrogate(v)))(a)
    assert 0 < len(compiled) < 12


def test_an_inverse_problem_inside_jit(surrogate):
    """A surrogate inside an optimisation loop: Gauss-Newton recovers the amplitude that made an output."""
    shape = inputs(1)[0]
    output = lambda s: surrogate(s * shape)  # noqa: E731
    target = output(jnp.asarray(0.7))

    def newton(_, s):
        u, slope = jax.jvp(output, (s,), (jnp.ones_like(s),))
        return s - jnp.vdot(slope, u - target) / jnp.vdot(slope, slope)

    found = jax.jit(lambda s: jax.lax.fori_loop(0, 8, newton, s))(jnp.asarray(0.3))
    np.testing.assert_allclose(found, 0.7, atol=1e-4)


def test_it_is_checked_by_the_true_solver(surrogate):
    errors = surrogate.check_against_solver(PDE, samples=4, seed=9)
    assert errors.shape == (4,) and np.all(errors > 0.1)  # untrained, and known to be wrong
    with pytest.raises(UsageError, match="trained for"):
        surrogate.check_against_solver(_other(), samples=1, seed=0)
    with pytest.raises(UsageError, match="pde: expected nu = .*, as it was trained, received"):
        surrogate.check_against_solver(Burgers(nu=2 * float(PDE.nu)), samples=1, seed=0)
    for odd, words in ((np.zeros((0, 64, 1)), "at least one sample"), (np.zeros((64, 1), complex), "real numbers")):
        with pytest.raises(UsageError, match=words):
            surrogate.predict(odd)
    with pytest.raises((UsageError, TypeCheckError), match="None"):
        surrogate.predict(None)
    assert surrogate.error_estimate((64,)) == ERROR
    with pytest.raises((UsageError, TypeCheckError), match="shape"):
        surrogate.error_estimate(64)
    hard = Surrogate(surrogate.model, dataclasses.replace(surrogate.spec, parameters=Burgers(nu=1e-4).parameters))
    with pytest.raises(UsageError, match=r"\(cole_hopf\) is right for every sample on \(32,\) nodes, received 2 of 2 samples"):
        hard.check_against_solver(Burgers(nu=1e-4), samples=2, seed=0, route="cole_hopf")
    for odd, words in (({"seed": None}, "seed"), ({"seed": 0, "samples": 2.5}, "samples")):
        with pytest.raises((UsageError, TypeCheckError), match=words):
            surrogate.check_against_solver(PDE, **odd)


def _other():
    class Heat(Burgers):
        pass

    return Heat(nu=0.5)


@pytest.mark.slow
def test_cheapest_setting_reaches_the_error_it_is_asked_for():
    grid = PDE.grid(128)
    a = np.asarray(inputs(8, grid))
    u = np.asarray(jax.vmap(lambda v: PDE.solve(v, grid, method="heat_kernel"))(jnp.asarray(a)))
    found = cheapest_setting(PDE, a, u, grid, 1e-2, samples=8)
    assert found is not None and found["error"] <= 1e-2 and found["seconds"] > 0
    assert cheapest_setting(PDE, a, u + 1, grid, 1e-2, samples=8) is None
    assert seconds_per_sample(jax.jit(lambda v: v * 2), jnp.ones((4, 3))) > 0


@pytest.mark.slow
def test_the_best_within_a_time_is_as_fast_and_more_time_is_no_worse():
    grid = PDE.grid(64)
    a = np.asarray(inputs(4, grid))
    u = np.asarray(jax.vmap(lambda v: PDE.solve(v, grid, method="heat_kernel"))(jnp.asarray(a)))
    ample = best_within(PDE, a, u, grid, 1.0)
    assert ample is not None and ample["seconds"] <= 1.0 and ample["error"] < 1e-3
    assert best_within(PDE, a, u, grid, 0.0) is None


@pytest.mark.slow
def test_a_front_falls_and_pays_back_what_it_saves():
    grid = PDE.grid(64)
    a = np.asarray(inputs(4, grid))
    u = np.asarray(jax.vmap(lambda v: PDE.solve(v, grid, method="heat_kernel"))(jnp.asarray(a)))
    few = _Few()
    front = pareto_front(few, a, u, grid)
    assert 1 <= len(front) <= 3 and all(f["error"] > g["error"] for f, g in pairwise(front)), front
    assert all(f["seconds"] <= g["seconds"] for f, g in pairwise(front))
    rows = [{"seconds": 1.0, "error": 0.1}, {"seconds": 3.0, "error": 0.01}]
    assert break_even(100.0, 0.5, rows, 0.1) == 200.0 and break_even(100.0, 1.0, rows, 0.05) == 50.0
    assert break_even(100.0, 1.0, rows, 0.2) is None and break_even(100.0, 0.5, rows, 0.001) is None


class _Few(Burgers):
    """Three of the equation's settings."""

    def __init__(self):
        super().__init__(nu=0.5)

    def settings(self, grid):
        found = [s for group in Burgers(nu=0.5).settings(grid) for s in group]
        return ((found[0], found[len(found) // 2], found[-1]),)


def test_bundle_files_and_card(bundle, surrogate):
    assert {f.name for f in bundle.iterdir()} == {"README.md", "config.json", "model.safetensors", "spec.json", MANIFEST}
    text = (bundle / "README.md").read_text()
    assert "Burgers" in text and "1.000e-02" in text and "relative error of the reference solutions: 1.0e-08" in text
    with pytest.raises(BundleError, match="exists already"):
        save_surrogate(surrogate, bundle)
    a = inputs()
    np.testing.assert_array_equal(load_surrogate(bundle)(a), surrogate(a))
    np.testing.assert_allclose(
        sample_errors(surrogate, np.asarray(a), np.asarray(a), GRID),
        sample_errors(load_surrogate(bundle), np.asarray(a), np.asarray(a), GRID),
    )


def rehash(bundle):
    """A careful attacker corrects the manifest."""
    files = sorted(f for f in bundle.iterdir() if f.name != MANIFEST)
    (bundle / MANIFEST).write_text("".join(f"{sha256(f)}  {f.name}\n" for f in files))


def edit_json(bundle, name, change):
    value = json.loads((bundle / name).read_text())
    change(value)
    (bundle / name).write_text(json.dumps(value))
    rehash(bundle)


def edit_tensors(bundle, change):
    from safetensors.numpy import load_file, save_file

    arrays = load_file(bundle / "model.safetensors")
    change(arrays)
    save_file(arrays, bundle / "model.safetensors")
    rehash(bundle)


def flip(bundle):
    data = bytearray((bundle / "model.safetensors").read_bytes())
    data[-100] ^= 1
    (bundle / "model.safetensors").write_bytes(data)


def pickle_in_disguise(bundle):
    (bundle / "model.safetensors").write_bytes(
        b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94."
    )
    rehash(bundle)


def duplicate_tensor(bundle):
    file = bundle / "model.safetensors"
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].decode().rstrip()
    first = header[1 : header.index("}") + 1]
    header = "{" + first + "," + header[1:]
    file.write_bytes(len(header).to_bytes(8, "little") + header.encode() + data[8 + length :])
    rehash(bundle)


def duplicate_key(bundle):
    text = (bundle / "config.json").read_text().replace("{", '{"class": "FNO",', 1)
    (bundle / "config.json").write_text(text)
    rehash(bundle)


def traversal(bundle):
    (bundle / MANIFEST).write_text((bundle / MANIFEST).read_text() + "0" * 64 + "  ../../secret\n")


def link(bundle):
    (bundle.parent / "elsewhere").write_text("secret")
    (bundle / "spec.json").unlink()
    (bundle / "spec.json").symlink_to(bundle.parent / "elsewhere")


def missing_tensor(arrays):
    del arrays[next(iter(arrays))]


def wrong_shape(arrays):
    name = next(iter(arrays))
    arrays[name] = np.zeros((3, *arrays[name].shape), np.float32)


def not_finite(arrays):
    arrays[next(iter(arrays))].ravel()[0] = np.nan


ATTACKS = {
    "flipped bit": (flip, "does not match its sha256"),
    "pickle renamed": (pickle_in_disguise, "not a safetensors file"),
    "duplicate tensors": (duplicate_tensor, "duplicate names"),
    "duplicate keys": (duplicate_key, "duplicate key 'class'"),
    "path traversal": (traversal, "not 'sha256  file name'"),
    "symbolic link": (link, "not a plain file"),
    "missing file": (lambda b: (b / "config.json").unlink(), "config.json is missing"),
    "extra file": (lambda b: (b / "run.py").write_text("1 / 0"), "run.py is not in SHA256SUMS"),
    "listed extra file": (lambda b: ((b / "run.py").write_text("1 / 0"), rehash(b)), "expected the files"),
    "no manifest": (lambda b: (b / MANIFEST).unlink(), "SHA256SUMS is missing"),
    "unknown class": (lambda b: edit_json(b, "config.json", lambda c: c.update({"class": "os.system"})), "unknown model class 'os.system'"),
    "unknown argument": (lambda b: edit_json(b, "config.json", lambda c: c["arguments"].update(hook="x")), "arguments: .*hook"),
    "nested argument": (lambda b: edit_json(b, "config.json", lambda c: c["arguments"].update(modes={"a": 1})), "not a number"),
    "enormous model": (lambda b: edit_json(b, "config.json", lambda c: c["arguments"].update(width=10**9)), "beyond any real model"),
    "other width": (lambda b: edit_json(b, "config.json", lambda c: c["arguments"].update(width=7)), "the model's is F32"),
    "scaler not finite": (lambda b: edit_json(b, "config.json", lambda c: c["input_scaler"].update(std=[0.0])), "std"),
    "spec of other channels": (lambda b: edit_json(b, "spec.json", lambda s: s.update(input=s["input"] * 2)), "input and"),
    "spec version": (lambda b: edit_json(b, "spec.json", lambda s: s.update(spec_version=9)), "spec_version"),
    "missing tensor": (lambda b: edit_tensors(b, missing_tensor), "is in the file or in the model, not in both"),
    "wrong shape": (lambda b: edit_tensors(b, wrong_shape), "the model's is F32"),
    "NaN weight": (lambda b: edit_tensors(b, not_finite), "holds NaN"),
    "empty weights": (lambda b: ((b / "model.safetensors").write_bytes(b""), rehash(b)), "not a safetensors file"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_bundles_are_refused_in_one_line(bundle, attack):
    change, words = ATTACKS[attack]
    change(bundle)
    with pytest.raises(BundleError, match=words) as error:
        load_surrogate(bundle)
    assert "\n" not in str(error.value) and str(bundle) in str(error.value)


def test_a_missing_bundle_and_a_file_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="no such bundle folder"):
        load_surrogate(tmp_path / "nothing")
    with pytest.raises(BundleError, match="is a file"):
        load_surrogate(tmp_path / "file")


def test_random_damage_is_never_accepted(surrogate, bundle):
    rng = np.random.default_rng(0)
    files = [f for f in bundle.iterdir()]
    for _ in range(150):
        file = files[rng.integers(len(files))]
        good = file.read_bytes()
        bad = bytearray(good)
        for position in rng.integers(len(bad), size=rng.integers(1, 4)):
            bad[position] ^= 1 << rng.integers(8)
        if bytes(bad) == good:
            continue
        file.write_bytes(bad)
        with pytest.raises(BundleError):
            load_surrogate(bundle)
        file.write_bytes(good)
    load_surrogate(bundle)
