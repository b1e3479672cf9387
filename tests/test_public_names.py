"""The public names and signatures are those that are kept: who changes one means to."""

import tinygrad_nn as tg
from tests import public_names


def test_public_names_are_those_that_are_kept():
    """None is lost or called otherwise; an operation may be added if it is documented, anything else is meant to be."""
    kept, now = public_names.KEPT.read_text(encoding="utf-8").splitlines(), public_names.dump()
    public = public_names.everything()
    lost, new = (sorted(set(a) - set(b)) for a, b in ((kept, now), (now, kept)))
    new = [line for line in new if not is_a_documented_op(public.get(line.partition(":")[0]))]
    told = "\n".join([*(f"- {line}" for line in lost), *(f"+ {line}" for line in new)])
    assert not told, f"public names changed:\n{told}\nIf that is meant, run python -m tests.public_names"
    assert kept == sorted(set(kept))


def is_a_documented_op(found):
    return isinstance(found, tg.Op) and ">>> " in (found.__doc__ or "")
