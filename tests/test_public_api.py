"""The public names: what users, tests and benchmarks count on is there, documented, and imported when it is needed."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import tinygrad_nn as tg

ROOT = Path(__file__).resolve().parents[1]

#: Name of a module, and the names that it is to have.
NAMES = {
    "": """
        Tensor tensor asarray op Op manual_seed
        zeros ones full empty zeros_like ones_like full_like empty_like arange linspace eye meshgrid tril triu
        add subtract multiply divide floor_divide remainder power pow negative positive absolute abs sign square sqrt
        exp expm1 log log1p log2 log10 logaddexp
        sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh
        arcsin arccos arctan arctan2 arcsinh arccosh arctanh
        sigmoid relu softplus maximum minimum clip where floor ceil round trunc
        equal not_equal less less_equal greater greater_equal logical_and logical_or logical_not logical_xor
        isnan isinf isfinite
        sum mean var std prod max min all any argmax argmin argsort sort cumulative_sum cumulative_prod cumsum
        logsumexp softmax log_softmax
        reshape permute_dims transpose matrix_transpose swapaxes moveaxis broadcast_to broadcast_arrays expand_dims
        squeeze concat concatenate stack unstack flip roll tile repeat split pad astype
        take take_along_axis
        matmul tensordot einsum outer dot vecdot
        float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool complex64 complex128
        pi e inf nan newaxis finfo iinfo isdtype can_cast
        no_grad enable_grad detect_anomaly
        grad value_and_grad vjp jvp jacobian hessian hvp elementwise_grad checkpoint stop_gradient
        draw save load nn optim data testing random linalg
    """,
    "random": "default_rng normal uniform",
    "nn": """
        Module Parameter Sequential ModuleList ModuleDict Linear Flatten Dropout
        Sigmoid ReLU Tanh LeakyReLU ELU GELU SiLU Softplus Softmax LogSoftmax
        MSELoss L1Loss HuberLoss BCELoss BCEWithLogitsLoss NLLLoss CrossEntropyLoss KLDivLoss
        BatchNorm1d BatchNorm2d LayerNorm Embedding MultiheadAttention Dropout1d Dropout2d SmoothL1Loss ParameterList
        functional init utils
    """,
    "nn.utils": "clip_grad_norm_ parameters_to_vector",
    "optim": "SGD Adam",
    "data": """
        Dataset TensorDataset DataLoader random_split mnist transforms
        augment Transformed ImageFolder read_image save_image read_idx write_idx fetch
    """,
    "testing": "check_gradients strategies op_cases",
}

TENSOR = """
    shape ndim size dtype T mT name requires_grad grad is_leaf op inputs backward numpy item detach requires_grad_
    retain_grad astype copy register_hook sum mean reshape transpose tolist
    __array__ __array_ufunc__ __array_function__ __array_namespace__
"""

MODULE = """
    parameters named_parameters state_dict load_state_dict train eval zero_grad to float double
    register_forward_hook register_forward_pre_hook
"""


@pytest.mark.parametrize(("module", "name"), [(m, n) for m, names in NAMES.items() for n in names.split()])
def test_name(module, name):
    where = import_module(f"tinygrad_nn.{module}".rstrip("."))
    found = getattr(where, name)
    if callable(found) and getattr(found, "__module__", "").startswith("tinygrad_nn"):
        assert found.__doc__, f"{name} has no docstring"


@pytest.mark.parametrize("name", TENSOR.split())
def test_tensor_has(name):
    found = getattr(tg.Tensor, name)
    assert name.startswith("_") or found.__doc__


@pytest.mark.parametrize("name", MODULE.split())
def test_module_has(name):
    assert getattr(tg.nn.Module, name).__doc__


def test_all_is_what_is_there():
    assert sorted(tg.__all__) == sorted(set(tg.__all__))
    for name in tg.__all__:
        assert hasattr(tg, name)
    assert set(tg.__all__) == set(dir(tg))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tg.nothing


def test_dtypes_are_numpys():
    assert tg.float32 is np.float32
    assert tg.bool is np.bool


def test_public_functions_take_names_that_a_user_reads():
    for name in ("grad", "value_and_grad", "vjp", "jvp", "hvp", "jacobian", "hessian"):
        assert next(iter(inspect.signature(getattr(tg, name)).parameters)) == "f"
    assert str(inspect.signature(tg.Tensor.backward)).startswith("(self, gradient")


def test_the_version_is_the_changelogs_and_the_packages():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert released[0] == tg.__version__
    assert f'\nversion = "{tg.__version__}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_package_is_typed():
    assert (Path(tg.__file__).parent / "py.typed").exists()
