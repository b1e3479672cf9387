"""What the engine promises: what is recorded, kept, let go, shared and written, and in which mode."""

import gc
import threading
import time
import tracemalloc
import weakref

import numpy as np
import pytest

import tinygrad_nn as tg


def leaf(value, dtype=None, **settings):
    return tg.tensor(value, dtype=dtype, requires_grad=True, **settings)


# --- recording -------------------------------------------------------------------------------------------------------


def test_a_result_knows_what_made_it():
    x, y = leaf([1.0, 2.0]), tg.tensor([3.0, 4.0])
    z = x * y
    assert z.op is tg.multiply
    assert z.inputs[0] is x
    assert z.inputs[1] is y
    assert z.requires_grad
    assert not z.is_leaf
    assert x.is_leaf
    assert x.op is None
    assert x.inputs == ()


def test_a_plain_number_stays_the_input_it_was():
    assert (leaf(2.0) * 3).inputs[1] == 3


def test_nothing_is_recorded_without_an_input_that_requires_gradients():
    z = tg.tensor([1.0]) * tg.tensor([2.0])
    assert not z.requires_grad
    assert z.is_leaf


def test_an_op_on_arrays_gives_an_array():
    result = tg.exp(np.array([0.0, 1.0]))
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, np.exp([0.0, 1.0]))


def test_comparisons_and_integers_are_not_recorded():
    x = leaf([1.0, 2.0])
    assert not (x > 1).requires_grad
    assert not x.argmax().requires_grad


def test_gradients_reach_only_what_asked_for_them():
    x, y = leaf(2.0), tg.tensor(3.0)
    (x * y).backward()
    assert x.grad.item() == 3.0
    assert y.grad is None


def test_detach_cuts():
    x = leaf(2.0)
    (x * x.detach()).backward()
    assert x.grad.item() == 2.0


def test_only_nodes_on_a_path_to_the_target_are_visited():
    visits = []
    watched = _counting_op("engine_watched", visits)
    x, y = leaf(2.0), leaf(3.0)
    out = watched(x) * watched(y)
    gradient = tg.grad(lambda t: out.detach() * t + watched(y) * t)(1.0)
    assert float(gradient) == pytest.approx(float(out.item()) + 3.0)
    assert visits == []  # what y needs is not asked for
    out.backward()
    assert len(visits) == 2


def _counting_op(name, visits):
    """An identity whose derivative notes that it was called."""

    def identity(x):
        return x * 1

    def rule(g, out, x):
        visits.append(1)
        return g

    return tg.op(identity, name=name).derivatives(rule)


# --- order -----------------------------------------------------------------------------------------------------------


def test_a_diamond_of_60_doublings_takes_60_steps():
    visits = []
    double = tg.op(lambda x: x + x, name="engine_double").derivatives(lambda g, out, x: visits.append(1) or g * 2)
    x = y = leaf(1.0)
    for _ in range(60):
        y = double(y)
    y.backward()
    assert len(visits) == 60
    assert x.grad.item() == 2.0**60


def test_shared_inputs_are_passed_once():
    x = y = leaf(1.0)
    started = time.perf_counter()
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**60
    assert time.perf_counter() - started < 5


def _chain(length):
    x = y = leaf(1.0)
    for _ in range(length):
        y = y * 1.0000001
    return x, y


def test_a_long_chain_has_no_recursion():
    x, y = _chain(200_000)
    y.backward()
    assert x.grad.item() == pytest.approx(1.0000001**200_000, rel=1e-9)
    del y  # freed without recursion too, or the interpreter dies here


@pytest.mark.slow
def test_a_chain_of_a_million_nodes():
    x, y = _chain(1_000_000)
    y.backward()
    assert x.grad.item() == pytest.approx(1.0000001**1_000_000, rel=1e-8)
    del y


def test_a_long_chain_that_is_never_differentiated_is_freed():
    x, y = _chain(200_000)
    first = weakref.ref(x)
    tracemalloc.start()
    x, y = _chain(20_000)
    taken = tracemalloc.get_traced_memory()[0]
    del x, y
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken > 1_000_000
    assert left < taken / 100
    assert first() is None


def test_a_long_chain_differentiates_forward():
    def f(x):
        for _ in range(5_000):
            x = x * 1.0001
        return x

    assert tg.jvp(f, 1.0, 1.0)[1] == pytest.approx(1.0001**5_000)


# --- freeing ---------------------------------------------------------------------------------------------------------


def test_a_second_backward_says_which_tensor_is_stale():
    x = leaf(2.0)
    y = tg.exp(x)
    y.name = "y"
    z = y * y
    z.backward()
    with pytest.raises(RuntimeError, match=r"'y'.*second time.*retain_graph=True"):
        y.backward()
    assert x.grad.item() == pytest.approx(2 * np.exp(4.0))  # the failed pass added nothing


def test_a_second_pass_through_an_op_of_several_results_says_so():
    x = tg.tensor(np.ones((2, 8)), requires_grad=True)
    y = (tg.nn.LayerNorm(8)(x) ** 2).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"results of normalize of shapes \(2, 8\).*second time.*retain_graph"):
        y.backward()


def test_retain_graph_allows_another_pass():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_a_part_let_go_by_another_result_is_stale_too():
    x = leaf(3.0)
    shared = tg.sin(x)
    a, b = shared * 2, shared * 3
    a.backward()
    with pytest.raises(RuntimeError, match="sin"):
        b.backward()


def test_create_graph_gives_gradients_that_can_be_differentiated():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    x.grad = None
    first.backward()
    assert x.grad.item() == 12.0


def test_a_pass_without_create_graph_gives_gradients_without_a_graph():
    x = leaf(2.0)
    (x**3).backward()
    assert not x.grad.requires_grad


def test_large_values_that_no_rule_reads_are_not_kept():
    size = 2**18  # 2 MiB of float64
    x = leaf(np.ones(size))
    tracemalloc.start()
    try:
        y = x
        for _ in range(10):
            y = y + 1.0
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 2 * size * 8
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(size))


def test_backward_lets_saved_values_go():
    size = 2**18
    x = leaf(np.ones(size))
    tracemalloc.start()
    try:
        y = x
        for _ in range(5):
            y = tg.sin(y)
        total = y.sum()
        total.backward()
        x.grad = None
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 2.5 * size * 8  # y, which is held here, and no more than another
    del y, total


@pytest.fixture
def no_garbage_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collector")
def test_a_graph_dies_with_its_result_without_the_garbage_collector():
    x = leaf([1.0, 2.0])
    middle = tg.sin(x)
    result = (middle * middle).sum()
    gone = weakref.ref(middle)
    node = middle._node
    held = len(gc.get_referrers(node))
    del middle, result
    assert gone() is None
    assert len(gc.get_referrers(node)) < held
    result = (tg.sin(x) * 2).sum()
    result.backward()
    gone = weakref.ref(result)
    del result
    assert gone() is None


@pytest.mark.usefixtures("no_garbage_collector")
def test_a_thousand_training_steps_leave_memory_where_it_was():
    from tinygrad_nn import nn, optim

    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    loss_of = nn.MSELoss()
    inputs = tg.tensor(rng.standard_normal((8, 4)).astype(np.float32))
    targets = tg.tensor(rng.standard_normal((8, 1)).astype(np.float32))

    def train(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            loss_of(model(inputs), targets).backward()
            optimizer.step()

    train(5)
    tracemalloc.start()
    try:
        train(200)  # until the interpreter's free lists hold objects that were traced
        before = tracemalloc.get_traced_memory()[0]
        objects = len(gc.get_objects())
        train(1000)
        after = tracemalloc.get_traced_memory()[0]
        assert len(gc.get_objects()) <= objects + 10
    finally:
        tracemalloc.stop()
    assert after - before < 990 * 8  # less than one object a step, of 16 bytes at least


# --- accumulation and aliasing ---------------------------------------------------------------------------------------


def test_gradients_add_up_in_a_new_array():
    x = leaf([1.0, 2.0])
    (x * 2).sum().backward()
    first = x.grad
    held = first.numpy()
    (x * 3).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5.0, 5.0])
    np.testing.assert_array_equal(held, [2.0, 2.0])
    assert x.grad is not first


def test_no_two_gradients_share_memory():
    x, y, z = leaf([1.0, 2.0]), leaf([3.0, 4.0]), leaf([[1.0, 2.0], [3.0, 4.0]])
    given = np.array([5.0, 6.0])
    (x + y + z.sum(0)).backward(given)
    arrays = [x.grad.numpy(), y.grad.numpy(), z.grad.numpy(), given]
    for i, a in enumerate(arrays):
        for b in arrays[:i]:
            assert not np.shares_memory(a, b)
    given[:] = 0
    np.testing.assert_array_equal(x.grad.numpy(), [5.0, 6.0])


def test_a_tensor_given_as_gradient_is_not_shared_either():
    x = leaf([1.0, 2.0])
    given = tg.tensor([5.0, 6.0])
    (x * 1).backward(given)
    (x + 0).backward(given)
    np.testing.assert_array_equal(given.numpy(), [5.0, 6.0])
    assert not np.shares_memory(x.grad.numpy(), given.numpy())


def test_a_gradient_used_many_times_is_summed_without_writing_to_a_shared_array():
    x = leaf(np.arange(100.0))
    y = x + 0
    (y + y + y + y.reshape(10, 10).reshape(100)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(100, 4.0))


def test_setting_and_clearing_a_gradient():
    x = leaf([1.0, 2.0])
    x.grad = np.array([1.0, 1.0])
    (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3.0, 3.0])
    x.grad = None
    assert x.grad is None


# --- hooks -----------------------------------------------------------------------------------------------------------


def test_hooks_see_and_replace_gradients_in_order():
    x = leaf(3.0)
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    handle = x.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: seen.append(g.item()))
    (x * 2).backward()
    assert seen == [2.0, 20.0]
    assert x.grad.item() == 20.0
    handle.remove()
    handle.remove()
    x.grad = None
    (x * 2).backward()
    assert x.grad.item() == 2.0


def test_a_hook_on_a_result_gets_the_whole_gradient_once():
    x = leaf(3.0)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(g.item()))
    (y * 5 + y * 7).backward()
    assert seen == [12.0]
    assert x.grad.item() == 24.0


def test_a_hook_may_not_change_the_shape():
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: g.sum())
    with pytest.raises(ValueError, match=r"hook.*shape \(\).*\(2,\)"):
        (x * 2).sum().backward()


def test_retain_grad_on_a_result():
    x = leaf(3.0)
    y = x * 2
    y.retain_grad()
    (y * y).backward()
    assert y.grad.item() == 12.0


def test_hooks_and_retain_grad_need_a_recorded_tensor():
    for call in (lambda t: t.register_hook(print), lambda t: t.retain_grad()):
        with pytest.raises(RuntimeError, match="requires_grad=True"):
            call(tg.tensor(1.0))


# --- modes -----------------------------------------------------------------------------------------------------------


def recording():
    return (leaf(1.0) * 2).requires_grad


def test_no_grad_and_enable_grad_nest():
    assert recording()
    with tg.no_grad():
        assert not recording()
        with tg.enable_grad():
            assert recording()
            with tg.no_grad():
                assert not recording()
            assert recording()
        assert not recording()
    assert recording()


def test_modes_are_decorators():
    @tg.no_grad()
    def quiet(depth):
        return recording() or (depth and quiet(depth - 1))

    assert not quiet(3)
    assert recording()
    assert tg.no_grad()(tg.enable_grad()(recording))()


def test_modes_return_to_what_they_were_after_an_exception():
    class Wrong(Exception):
        pass

    @tg.no_grad()
    def fails():
        raise Wrong

    with pytest.raises(Wrong):
        fails()
    assert recording()
    with pytest.raises(Wrong), tg.no_grad(), tg.enable_grad():
        raise Wrong
    assert recording()
    with tg.no_grad():
        with pytest.raises(Wrong), tg.enable_grad():
            raise Wrong
        assert not recording()


def test_recording_returns_after_an_exception_in_a_pass_and_in_a_transform():
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: 1 / 0)
    with tg.no_grad(), pytest.raises(ZeroDivisionError):
        y.backward(create_graph=True)
    with tg.no_grad():
        with pytest.raises(ZeroDivisionError):
            tg.grad(lambda x: x * (1 // 0))(1.0)
        assert not recording()
    assert recording()


def test_a_mode_object_can_be_entered_twice():
    mode = tg.no_grad()
    with mode, mode:
        assert not recording()
    assert recording()


def test_modes_belong_to_their_thread():
    inside, go_on = threading.Event(), threading.Event()
    found = {}

    def other():
        found["before"] = recording()
        inside.wait(10)
        found["while main is in no_grad"] = recording()
        with tg.no_grad():
            go_on.set()
            found["own"] = recording()

    thread = threading.Thread(target=other)
    thread.start()
    with tg.no_grad():
        inside.set()
        assert go_on.wait(10)
        assert not recording()
    assert recording()
    thread.join()
    assert found == {"before": True, "while main is in no_grad": True, "own": False}


def test_threads_differentiate_side_by_side():
    def work(k, results):
        x = leaf(float(k))
        for _ in range(50):
            x.grad = None
            y = x
            for _ in range(20):
                y = y * 1.5
            y.backward()
        results[k] = x.grad.item()

    results = {}
    threads = [threading.Thread(target=work, args=(k, results)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(4), 1.5**20)


def test_anomalies_name_the_op_and_the_users_line():
    with tg.detect_anomaly():
        x = leaf([1.0, 0.0])
        with (
            pytest.raises(FloatingPointError, match=r"log gave[\s\S]*1 inf[\s\S]*test_engine\.py:\d+: tg\.log\(x\)"),
            np.errstate(divide="ignore"),
        ):
            tg.log(x)
        y = tg.sqrt(x)  # fine forward, infinite backward
        with pytest.raises(
            FloatingPointError, match=r"derivative of sqrt[\s\S]*test_engine\.py:\d+: y = tg\.sqrt\(x\)"
        ):
            y.sum().backward()


# --- writes ----------------------------------------------------------------------------------------------------------


def test_assignment_binds_to_a_new_value():
    x = leaf([1.0, 2.0, 3.0])
    y = x * 2
    z = y * y  # reads y as it is now
    before = y.numpy()
    y[0] = 100.0
    np.testing.assert_array_equal(before, [2.0, 4.0, 6.0])
    np.testing.assert_array_equal(y.numpy(), [100.0, 4.0, 6.0])
    (z.sum() + y.sum()).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [8.0 + 0, 16.0 + 2, 24.0 + 2])


def test_assigning_a_tensor_carries_its_gradient():
    x, v = leaf([1.0, 2.0, 3.0]), leaf([10.0, 20.0])
    y = x * 2
    y[1:] = v
    (y * tg.tensor([1.0, 2.0, 3.0])).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 0.0, 0.0])
    np.testing.assert_array_equal(v.grad.numpy(), [2.0, 3.0])


def test_assigning_into_a_constant_makes_it_recorded():
    buffer = tg.zeros(3)
    x = leaf(2.0)
    buffer[1] = x * x
    buffer.sum().backward()
    assert x.grad.item() == 4.0


def test_in_place_operators_bind_to_a_new_value():
    x = leaf([1.0, 2.0])
    y = x * 1
    alias = y
    square = y * y
    y += 10
    y *= 2
    assert alias is y  # the same Tensor, as in NumPy and PyTorch
    np.testing.assert_array_equal(y.numpy(), [22.0, 24.0])
    (square.sum() + y.sum()).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0 + 2, 4.0 + 2])


def test_a_write_does_not_reach_what_was_computed_before():
    a = tg.tensor([1.0, 2.0, 3.0])
    picked, doubled, array = a[[1, 2]], a * 2, a.numpy()
    a[1] = 50.0
    np.testing.assert_array_equal(picked.numpy(), [2.0, 3.0])
    np.testing.assert_array_equal(doubled.numpy(), [2.0, 4.0, 6.0])
    np.testing.assert_array_equal(array, [1.0, 2.0, 3.0])


def test_a_leaf_is_updated_under_no_grad_and_stays_itself():
    x = leaf([1.0, 2.0], name="x")
    y = (x * x).sum()
    with tg.no_grad():
        x -= 0.5
        x[0] = 7.0
    assert x.is_leaf
    assert x.requires_grad
    assert x.name == "x"
    np.testing.assert_array_equal(x.numpy(), [7.0, 1.5])
    y.backward()  # of the graph before the update: at the old values
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 4.0])
    x.grad = None
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [14.0, 3.0])


def test_in_place_operators_keep_shape_and_dtype():
    x = tg.tensor([1.0, 2.0], dtype=tg.float32)
    x += np.array([1.0, 1.0])  # float64, as in NumPy: the result is written as float32
    assert x.dtype == np.float32
    with pytest.raises(ValueError, match="change the shape"):
        x += np.ones((2, 2))
    n = tg.tensor([1, 2])
    with pytest.raises(TypeError, match="dtype"):
        n += 0.5


# --- views and shared arrays -----------------------------------------------------------------------------------------


def test_arrays_given_out_are_read_only():
    x = leaf([1.0, 2.0])
    for array in (x.numpy(), np.asarray(x.detach()), (x * 2).numpy()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5.0
    copied = np.array(x.detach())
    copied[0] = 5.0
    assert x.numpy()[0] == 1.0


def test_tensor_copies_what_it_is_made_of():
    array = np.array([1.0, 2.0])
    x = tg.tensor(array)
    array[0] = 99.0
    np.testing.assert_array_equal(x.numpy(), [1.0, 2.0])


def test_asarray_shares():
    array = np.array([1.0, 2.0])
    assert np.shares_memory(tg.asarray(array).numpy(), array)


@pytest.mark.parametrize(
    "combine",
    [
        lambda x, a: x * a,
        lambda x, a: a * x,
        lambda x, a: x / a,
        lambda x, a: x @ a,
        lambda x, a: x**a,
        lambda x, a: np.multiply(x, a),
        lambda x, a: tg.maximum(x, a),
        lambda x, a: tg.where(a > 1.5, x * 2, x),
        lambda x, a: tg.concat([x * x, tg.asarray(a) * x]),
        lambda x, a: tg.einsum("i,i->i", x, a),
    ],
)
@pytest.mark.parametrize("wrap", [lambda a: a, tg.asarray], ids=["array", "asarray"])
def test_writing_to_an_array_after_recording_changes_no_gradient(combine, wrap):
    gradients = []
    for write in (False, True):
        x = leaf([0.7, 1.3, 2.1])
        array = np.array([1.0, 2.0, 3.0])
        y = combine(x, wrap(array))
        total = y.sum()
        if write:
            array[:] = -55.0
        total.backward()
        gradients.append(x.grad.numpy())
    np.testing.assert_array_equal(*gradients)


def test_writing_to_the_array_of_a_leaf_changes_nothing():
    array = np.array([1.0, 2.0, 3.0])
    x = tg.asarray(array).requires_grad_()
    y = (x * x).sum()
    array[:] = 99.0
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 4.0, 6.0])


def test_writing_to_an_index_array_after_recording_changes_no_gradient():
    x = leaf([1.0, 2.0, 3.0])
    index = np.array([0, 0, 1])
    y = x[index].sum()
    index[:] = 2
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 1.0, 0.0])


# --- dtypes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (tg.tensor([1.0], dtype="float32"), 2.0, "float32"),
        (tg.tensor([1.0], dtype="float32"), 2, "float32"),
        (tg.tensor([1.0], dtype="float16"), 2.0, "float16"),
        (tg.tensor([1.0], dtype="float32"), np.float64(2.0), "float64"),
        (tg.tensor([1.0], dtype="float32"), np.array([2.0]), "float64"),
        (tg.tensor([1.0], dtype="float32"), tg.tensor(2.0), "float64"),
        (tg.tensor([1.0], dtype="float32"), tg.tensor([1]), "float64"),
        (tg.tensor([1], dtype="int8"), 2, "int8"),
        (tg.tensor([1], dtype="int8"), 2.0, "float64"),
        (tg.tensor([True]), 1, "int64"),
        (tg.tensor(1.0, dtype="float32"), 2.0, "float32"),
        (tg.tensor(1.0, dtype="float32"), np.float64(2.0), "float64"),
    ],
)
def test_dtypes_follow_nep_50(left, right, expected):
    for result in (left * right, right * left, left + right, right - left):
        assert result.dtype == expected
        assert isinstance(result, tg.Tensor)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 3)])
def test_a_gradient_has_the_shape_and_dtype_of_its_tensor(dtype, shape):
    x = leaf(np.ones(shape), dtype=dtype)
    wide = np.ones((4, *shape))
    y = tg.exp(x) * wide + x.astype("float64") ** 2
    y.sum().backward()
    assert x.grad.dtype == dtype
    assert x.grad.shape == shape


def test_a_literal_does_not_widen_a_gradient():
    x = leaf([1.0, 2.0], dtype="float32")
    y = (tg.sin(x * 2.5) / 3 + 1 - x**2).sum()
    assert y.dtype == np.float32
    y.backward()
    assert x.grad.dtype == np.float32


def test_zero_dimensional_values_stay_scalars():
    x = leaf(2.0)
    y = tg.exp(x) + x.sum() + x.reshape(()) + tg.stack([x, x]).sum()
    assert y.shape == ()
    assert type(y._value) is np.float64


# --- zero stays zero -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "bad"),
    [
        (tg.log, 0.0),
        (tg.log, -1.0),
        (tg.sqrt, 0.0),
        (tg.sqrt, -1.0),
        (lambda x: 1 / x, 0.0),
        (lambda x: x**0.5, 0.0),
        (lambda x: x**-1, 0.0),
        (tg.exp, 1e4),
        (lambda x: tg.exp(x) / (1 + tg.exp(x)), 1e4),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_nothing_gets_out_of_the_branch_not_taken(function, bad, order):
    taken = np.array([True, False])

    def safe(x):
        return (
            tg.where(taken, x * x, 0.0).sum()
            + tg.where(taken, 0.0, x * x).sum()
            + tg.where(~taken, 0, function(x)).sum()
        )

    def plain(x):
        return tg.where(taken, x * x + function(x), x * x)

    point = np.array([3.0, bad])
    with np.errstate(all="ignore"):
        expected = [3.0, bad]
        for f in (plain, safe):
            alone = function
            for _ in range(order):
                f, alone = tg.elementwise_grad(f), tg.elementwise_grad(alone)
            expected = [alone(3.0) + (6.0 if order == 1 else 2.0), 2 * bad if order == 1 else 2.0]
            np.testing.assert_allclose(f(point), expected, rtol=1e-13)


def test_a_zero_gradient_beside_an_infinite_one_keeps_its_mixed_derivative():
    x, y = np.array([0.0, 2.0]), np.array([1.0, 0.0])

    def second_component(y):
        return tg.grad(lambda x: (y * tg.log(x)).sum())(x)[1]

    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(tg.grad(second_component)(y), [0.0, 0.5])


# --- ops of the user -------------------------------------------------------------------------------------------------


def test_a_users_op_has_every_right():
    @tg.op(name="engine_cube")
    def cube(x):
        """x³."""
        return x**3

    cube.derivatives(lambda g, out, x: g * 3 * x**2)
    assert cube(2.0) == 8.0
    x = leaf([1.0, 2.0])
    y = cube(x)
    assert y.op is cube
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3.0, 12.0])
    assert tg.grad(tg.grad(tg.grad(cube)))(2.0) == 6.0
    np.testing.assert_array_equal(tg.hessian(lambda x: cube(x).sum())(np.array([1.0, 2.0])), np.diag([6.0, 12.0]))


def test_a_users_op_with_settings_broadcasting_and_one_input_without_derivative():
    @tg.op(name="engine_scaled")
    def scaled(x, y, *, factor=2.0):
        return factor * x * np.sign(y)

    scaled.derivatives(lambda g, out, x, y, *, factor: g * factor * tg.sign(y), None)
    x, y = leaf([1.0, 2.0]), leaf([[1.0], [-1.0], [1.0]])
    scaled(x, y, factor=3.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3.0, 3.0])
    assert y.grad is None or not y.grad.numpy().any()


def test_an_op_without_derivatives_says_so():
    plain = tg.op(lambda x: x * 2, name="engine_plain")
    with pytest.raises(RuntimeError, match=r"engine_plain has no derivatives.*engine_plain\.derivatives"):
        plain(leaf(1.0)).backward()


def test_a_users_op_may_be_defined_again_and_named_like_one_of_ours():
    first = tg.op(lambda x: x, name="exp")
    second = tg.op(lambda x: x * 2, name="exp")
    assert first(1.0) == 1.0
    assert second(1.0) == 2.0
    assert tg.exp(0.0) == 1.0
