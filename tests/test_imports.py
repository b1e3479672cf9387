"""`import tinygrad_nn` brings NumPy and the core, and nothing else."""

import json
import subprocess
import sys

CHEAP = ("__future__", "threading")

CODE = """
import json, sys
import inspect, numpy  # NumPy from 2.1 on loads inspect itself
before = set(sys.modules)
import tinygrad_nn
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_import_loads_numpy_and_itself_only():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    extra = [name for name in json.loads(done.stdout) if not name.startswith("tinygrad_nn") and name not in CHEAP]
    assert extra == []


def test_readers_and_checkers_are_not_loaded_by_import():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    for part in ("drawing", "testing"):
        assert f"tinygrad_nn.{part}" not in loaded
