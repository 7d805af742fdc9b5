"""The neural twin: exact gradients, exact clipping, predictions that improve, weights that survive a file."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from registry.demo.learner import (
    INPUTS,
    OUTPUTS,
    SIZES,
    Adam,
    Samples,
    Twin,
    clipped_gradient_sum,
    draw_twin,
    error_db,
    gradient,
    parameter_count,
    predict,
    samples_of,
)
from registry.demo.weights import read_twin, write_twin
from registry.demo.world import BuiltinSource, plan_cells
from registry.errors import VerificationFailed

SMALL = (3, 5, 4, 2)


def some_samples(rows=6, sizes=SMALL, seed=0):
    rng = np.random.default_rng(seed)
    return Samples(rng.standard_normal((rows, sizes[0])), rng.standard_normal((rows, sizes[-1])))


def loss(theta, samples):
    twin = Twin(SMALL, theta)
    scaled = (predict(twin, samples.inputs) - predict(Twin(SMALL, 0 * theta), samples.inputs)) / [20.0, 15.0]
    return 0.5 * np.sum((scaled - samples.outputs) ** 2) / len(samples)


def test_the_gradient_is_that_of_half_the_squared_error():
    samples, twin = some_samples(), draw_twin(np.random.default_rng(1), SMALL)
    step = 1e-6 * np.eye(parameter_count(SMALL))
    numeric = [(loss(twin.theta + s, samples) - loss(twin.theta - s, samples)) / 2e-6 for s in step]
    assert gradient(twin, samples) == pytest.approx(np.array(numeric), abs=1e-7)


def test_clipping_bounds_every_single_samples_gradient():
    samples, twin = some_samples(), draw_twin(np.random.default_rng(1), SMALL)
    expected = np.zeros(parameter_count(SMALL))
    for i in range(len(samples)):
        one = gradient(twin, Samples(samples.inputs[i : i + 1], samples.outputs[i : i + 1]))
        expected += one * min(1.0, 0.5 / np.linalg.norm(one))
    assert clipped_gradient_sum(twin, samples, 0.5) == pytest.approx(expected)


def test_removing_one_sample_moves_the_clipped_sum_by_at_most_the_clip():
    samples, twin = some_samples(rows=9, seed=4), draw_twin(np.random.default_rng(2), SMALL)
    whole = clipped_gradient_sum(twin, samples, 0.3)
    for i in range(9):
        rest = Samples(np.delete(samples.inputs, i, 0), np.delete(samples.outputs, i, 0))
        assert np.linalg.norm(whole - clipped_gradient_sum(twin, rest, 0.3)) <= 0.3 + 1e-12


def test_training_lowers_the_error_on_real_tracks():
    cell = plan_cells(1, "new-cell")[0]
    samples = samples_of(cell, BuiltinSource().tracks(cell, 2, 7)[0])
    twin = draw_twin(np.random.default_rng(0))
    before, theta = error_db(twin, samples), twin.theta
    adam = Adam(0.02, np.zeros_like(theta), np.zeros_like(theta))
    for _ in range(60):
        theta = adam.move(theta, gradient(Twin(SIZES, theta), samples))
    assert error_db(Twin(SIZES, theta), samples) < 0.8 * before


def test_samples_have_the_named_columns():
    cell = plan_cells(1, "new-cell")[0]
    samples = samples_of(cell, BuiltinSource().tracks(cell, 2, 7)[0])
    assert samples.inputs.shape[1] == len(INPUTS)
    assert samples.outputs.shape[1] == len(OUTPUTS)
    assert np.abs(samples.inputs).max() < 10.0


def test_weights_come_back_in_float32_and_the_bytes_repeat(tmp_path):
    twin = draw_twin(np.random.default_rng(3))
    write_twin(twin, tmp_path / "a.safetensors")
    write_twin(twin, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    back = read_twin(tmp_path / "a.safetensors", SIZES)
    assert np.array_equal(back.theta, twin.theta.astype(np.float32).astype(np.float64))


def test_weights_of_another_shape_are_refused(tmp_path):
    write_twin(draw_twin(np.random.default_rng(3), SMALL), tmp_path / "small.safetensors")
    with pytest.raises(VerificationFailed, match="was expected"):
        read_twin(tmp_path / "small.safetensors", SIZES)


def test_weights_that_are_not_numbers_are_refused(tmp_path):
    twin = draw_twin(np.random.default_rng(3), SMALL)
    write_twin(Twin(SMALL, np.full_like(twin.theta, np.nan)), tmp_path / "nan.safetensors")
    with pytest.raises(VerificationFailed, match="finite"):
        read_twin(tmp_path / "nan.safetensors", SMALL)


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\xff" * 64])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(VerificationFailed, match="readable"):
        read_twin(tmp_path / "x.safetensors", SIZES)


def test_a_file_with_a_tensor_too_many_is_refused(tmp_path):
    save_file({"layer.9.weight": np.zeros((1, 1), dtype=np.float32)}, tmp_path / "x.safetensors")
    with pytest.raises(VerificationFailed, match=r"layer\.9"):
        read_twin(tmp_path / "x.safetensors", SIZES)
