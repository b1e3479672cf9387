"""Compiling: a function recorded once, rewritten, and run as plain NumPy source from then on.

The way of a function: `trace` makes a program of one call (`recorder`, `recording`; `control` and `inner` for loops
and branches), in the form of `ir`; `rewrite.simplify` makes an equal one that computes less; `targets.numpy` gives
each step its memory (`plan`, `blocks`) and writes the source (`lowering`, `naming`, `kernel_source`, `emit`;
`standalone` a file of it); `call` checks the arguments of a call, reads the state and puts it back; `compiled` holds
all of it together. `differentiable` is for results that are differentiated outside. For JAX nothing is written: an
interpreter in `targets.jax` computes the steps by a table, while JAX traces it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from .compiled import Compiled, Memory


def compile(
    function: Callable[..., Any] | None = None,
    *,
    target: str = "numpy",
    static: Collection[str | int] | str | int = (),
    mesh: Any = None,
    replicate: Collection[str] = (),
    verify: bool = True,
) -> Any:
    """A function that records `function` at its first call, and runs what it did as plain NumPy code from then on.

    Everything that is computed with Tensors is recorded: forward, ``backward()``, gradients of transforms, the
    optimizer's step. Results, gradients and state are those of an ordinary call, to rounding, and ordinary and
    compiled calls can alternate.

    Parameters
    ----------
    function : callable
        A function, a method or a module. Its arguments may be Tensors, arrays and floats, whose numbers differ from
        call to call, nested in tuples, lists and dicts; anything else (ints, strings, modules, None) is fixed.
    target : {"numpy", "jax"}
        With ``"jax"`` JAX traces the program and XLA compiles it, for large arrays and other devices. Needs the extra
        ``tinygrad_nn[jax]``.
    static : collection of str, or str
        Names of arguments that are fixed though they are floats, arrays or Tensors.
    mesh : jax.sharding.Mesh, optional
        With ``target="jax"``: arrays given as arguments are split over its devices along their first axis, and
        the state is on all of them: training in parallel on parts of a batch.
    replicate : collection of str
        Names of arguments that are not to be split.
    verify : bool, default True
        Compare each recording: the code made of it runs once on copies of the numbers that were recorded with, and is
        used only if it gives the same but for rounding. ``.report`` of the result says how that came out. Operations of
        your own are called again for it.

    Returns
    -------
    Compiled
        Called like `function`. Its ``source`` is the emitted code, ``save(path)`` writes it as a module that imports
        only NumPy, ``memory`` tells the bytes that a call takes; for JAX, ``source`` is the jaxpr that it compiles, and
        the other two are not to be had. Without `function`, a decorator.

    Raises
    ------
    TypeError
        When called, if Python looks at the number in a Tensor (``if loss > 1``, ``float(t)``), or if a result's
        shape depends on numbers; the message names the line, and what can be done instead.
    ImportError
        For ``target="jax"`` without JAX.

    Notes
    -----
    A call with another shape, dtype or fixed argument, with a module in another mode or with other settings of an
    optimizer (but for its learning rate) is recorded anew; of the last eight the code is kept. Read anew at each
    call are parameters, buffers, gradients, what optimizers remember, learning rates, random generators, and Tensors
    and arrays that the function finds in variables of its own.

    Not read anew, and not noticed either: what Python or NumPy alone compute in the function, such as ``array[0] * 2``,
    counters and `numpy.random`; items of nested containers; arrays and lists given to an operation as settings. An
    operation whose result nothing needs is left out.

    Where a formula overflows that has an exact twin, the twin is run: log σ(z), log softmax(z), and the cross-entropy
    of a σ(z), whose gradient is then a − y also where a is 0 or 1.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> net = nn.Linear(2, 1)
    >>> optimizer = tg.optim.SGD(net.parameters(), lr=0.1)
    >>> @tg.compile
    ... def step(x, y):
    ...     loss = nn.functional.mse_loss(net(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    ...     return loss
    >>> x, y = tg.tensor([[1.0, 2.0]]), tg.tensor([[3.0]])
    >>> first, second = step(x, y), step(x, y)
    >>> bool(second < first)
    True
    """
    if function is None:
        return lambda f: compile(f, target=target, static=static, mesh=mesh, replicate=replicate, verify=verify)
    if not callable(function):
        raise TypeError(f"compile: takes a function or a module, not {function!r}")
    if target not in ("numpy", "jax"):
        raise ValueError(f'compile: target must be "numpy" or "jax", not {target!r}')
    if target == "numpy" and (mesh is not None or replicate):
        raise ValueError('compile: mesh and replicate are for target="jax"')
    return Compiled(function, static, target=target, mesh=mesh, replicate=replicate, verify=verify)


__all__ = ["Compiled", "Memory", "compile"]
