"""The public names and signatures are those that are kept: who changes one means to."""

from tests import public_names


def test_public_names_are_those_that_are_kept():
    kept, now = public_names.KEPT.read_text(encoding="utf-8").splitlines(), public_names.dump()
    lost, new = (sorted(set(a) - set(b)) for a, b in ((kept, now), (now, kept)))
    told = "\n".join([*(f"- {line}" for line in lost), *(f"+ {line}" for line in new)])
    assert now == kept, f"public names changed:\n{told}\nIf that is meant, run python -m tests.public_names"
