"""What was pickled, or imported, when the package's files lay elsewhere is found where it is now."""

import json
import pickle
from importlib import import_module

import pytest

import tinygrad_nn as tg
from tests import old_pickles
from tinygrad_nn import nn

STORED = old_pickles.stored()
MODULES = json.loads(old_pickles.MODULES.read_text(encoding="utf-8"))
#: What they defined that is public.
MODULES = {path: public for path, names in MODULES.items() if (public := {k: v for k, v in names.items() if v})}
OBJECTS = [name for name in STORED if not name.startswith("reference ")]
PUBLIC = old_pickles.public_names.everything()


@pytest.mark.parametrize("name", OBJECTS)
def test_an_old_pickle_gives_what_it_gave(name):
    made, seen = STORED[name]
    found = pickle.loads(made)  # noqa: S301
    near = {k: pytest.approx(v, rel=1e-4, abs=1e-5, nan_ok=True) if type(v) is float else v for k, v in seen.items()}
    assert old_pickles.described(name, found) == near
    if isinstance(found, nn.Module):
        assert type(found) is getattr(nn, seen["/type"])


def test_old_references_give_the_present_objects():
    now = old_pickles.references()
    now["reference linalg.trace"] = tg.trace  # which it was; `tg.linalg.trace` is of the last two axes now
    loaded = {name: pickle.loads(STORED[name][0]) for name in STORED.keys() - set(OBJECTS)}  # noqa: S301
    assert [name for name, found in loaded.items() if found is not now.get(name)] == []


@pytest.mark.parametrize("path", MODULES)
def test_every_old_module_path_still_resolves(path):
    module = import_module(path)
    for name, public in MODULES[path].items():
        assert getattr(module, name) is (tg.trace if public == "linalg.trace" else PUBLIC[public]), name
