"""Module: parameters and the computation that uses them, as a tree."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ..core.graph import Node, changes, next_order, switch
from ..core.store import rebind, saw
from ..tensor.tensor import ArrayLike, HookHandle, Tensor, as_array, plain_tensor
from .checks import ARRAYS, as_result

_NO_BUFFERS: Mapping[str, bool] = {}


class Parameter(Tensor):
    """A Tensor that a module learns: it requires gradients, and `Module.parameters` finds it.

    Parameters
    ----------
    data : array_like
        Copied. Lists and Python numbers become float32; arrays and Tensors keep their dtype.
    requires_grad : bool
    dtype : dtype, optional
    name : str, optional
        How drawings and messages call it; else the path in its module.

    Notes
    -----
    A value is never written to, as recorded graphs may hold it. Give a new one with ``p[...] = values`` or
    ``p -= step`` inside ``with tg.no_grad():``.

    Examples
    --------
    >>> from tinygrad_nn import nn
    >>> nn.Parameter([1.0, 2.0])
    parameter([1., 2.], dtype=float32, requires_grad=True)
    """

    __slots__ = ()

    def __init__(
        self,
        data: ArrayLike,
        requires_grad: bool = True,
        dtype: npt.DTypeLike | None = None,
        name: str | None = None,
    ) -> None:
        if not isinstance(requires_grad, bool):
            raise TypeError(f"nn.Parameter: requires_grad is a bool, not {requires_grad!r}; give dtype= by name")
        if dtype is None and not isinstance(data, Tensor | np.ndarray | np.generic) and not hasattr(data, "__array__"):
            dtype = np.float32
        super().__init__(data, dtype, requires_grad, name)


class LoadResult(NamedTuple):
    """What `Module.load_state_dict` could not match, where ``strict=False`` let it pass."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """A part of a network: parameters, buffers and further modules as attributes, and `forward`, which computes.

    Derive from it, make the parts in ``__init__`` and write ``forward``. Call the module itself, not ``forward``: the
    call runs the hooks and marks the graph, so that a drawing shows the module as a box.

    Notes
    -----
    Every attribute that is a `Parameter` or a `Module` belongs to the tree, in the order of assignment; Tensors that
    are kept but not learned are registered with `register_buffer`. Names and `state_dict` keys are PyTorch's.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> class Line(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.slope = nn.Parameter([2.0])
    ...         self.offset = nn.Parameter([1.0])
    ...
    ...     def forward(self, x):
    ...         return self.slope * x + self.offset
    >>> line = Line()
    >>> line(3.0)
    tensor([7.], dtype=float32, op=add)
    >>> list(line.state_dict())
    ['slope', 'offset']
    """

    # Defaults of the class: a call looks up little, and a module that does not call super().__init__() works too.
    training: bool = True
    _buffers: Mapping[str, bool] = _NO_BUFFERS
    _forward_hooks: dict[int, Callable[..., Any]] | None = None
    _forward_pre_hooks: dict[int, Callable[..., Any]] | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the result; every module defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if switch.active:
            saw(self)
        start = next_order()
        try:
            if self._forward_hooks is None and self._forward_pre_hooks is None:
                result = self.forward(*args, **kwargs) if kwargs else self.forward(*args)
            else:
                result = self._call_with_hooks(args, kwargs)
        except Exception as error:
            error.add_note(f"in {type(self).__name__}({self.extra_repr()})")  # innermost first
            raise
        if isinstance(result, Tensor):
            node = result._node
            if node is not None and node.order > start:  # made in here, not passed through
                if node.extra is None:
                    node.extra = {"module": [(self, start, next_order())]}
                else:
                    _mark(node, (self, start, next_order()))
        elif isinstance(result, ARRAYS):
            return as_result(result)
        elif type(result) is tuple:
            call = (self, start, next_order())
            result = tuple(map(as_result, result))
            for tensor in result:
                if isinstance(tensor, Tensor) and tensor._node is not None and tensor._node.order > start:
                    _mark(tensor._node, call)
        return result

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook in tuple((self._forward_pre_hooks or {}).values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        result = self.forward(*args, **kwargs)
        for hook in tuple((self._forward_hooks or {}).values()):
            changed = hook(self, args, result)
            if changed is not None:
                result = changed
        return result

    # --- attributes --------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Tensor) and not isinstance(value, Parameter):
            if isinstance(self.__dict__.get(name), Parameter):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a Parameter; a computed Tensor in its place would no longer be "
                    f"learned. Give it a new value inside `with tg.no_grad():` ({name}[...] = value), "
                    f"or assign nn.Parameter(value)"
                )
        elif isinstance(value, list | dict) and _holds_part(value):
            warnings.warn(
                f"{type(self).__name__}.{name} is a plain {type(value).__name__}, so what is in it is not found by "
                f"parameters(): use nn.Module{'List' if isinstance(value, list) else 'Dict'} "
                "(or a tuple, to leave it out on purpose)",
                stacklevel=2,
            )
        buffered = switch.active and name in self._buffers and isinstance(value, Tensor)
        if not (buffered and rebind(self, name, value)):
            self._set(name, value)

    def __delattr__(self, name: str) -> None:
        changes.count += 1
        object.__delattr__(self, name)

    def _set(self, name: str, value: Any) -> None:
        if isinstance(value, Module) and any(module is self for module in value.modules()):
            raise ValueError(f"{name!r} is, or holds, the {type(self).__name__} itself; a module is no part of itself")
        changes.count += 1
        object.__setattr__(self, name, value)

    def _check_name(self, name: str) -> None:
        """Refuse a name that could not be a key, or would hide something that the module has already."""
        if not name or "." in name:
            raise ValueError(f"{name!r} cannot name a part of a module: it must not be empty, nor hold a dot")
        if name not in self.__dict__ and getattr(self, name, None) is not None:
            raise ValueError(f"{type(self).__name__} has an attribute {name!r} already; choose another name")

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Set the attribute `name` to a Parameter, or to None for one that is left out."""
        self._check_name(name)
        if parameter is not None and not isinstance(parameter, Parameter):
            raise TypeError(f"parameter {name!r} is a {type(parameter).__name__}; wrap it in nn.Parameter(...)")
        setattr(self, name, parameter)

    def register_buffer(self, name: str, tensor: ArrayLike | None, persistent: bool = True) -> None:
        """Set the attribute `name` to a Tensor that is kept but not learned, such as a running mean.

        Parameters
        ----------
        name : str
        tensor : array_like or None
        persistent : bool
            Whether it is part of `state_dict`.
        """
        self._check_name(name)
        if tensor is not None and not isinstance(tensor, Tensor):
            tensor = Tensor(tensor)
        self._set("_buffers", {**self._buffers, name: persistent})
        setattr(self, name, tensor)

    def add_module(self, name: str, module: Module | None) -> None:
        """Set the attribute `name` to a module; for names that are computed."""
        self._check_name(name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{name!r} is a {type(module).__name__}, not a Module")
        self._set(name, module)

    register_module = add_module

    # --- the tree ----------------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly in this one, with their names."""
        return ((name, value) for name, value in self.__dict__.items() if isinstance(value, Module))

    def children(self) -> Iterator[Module]:
        """The modules directly in this one."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """The module and all below it with their paths, each before its parts; one that is used twice comes once."""
        memo = set() if memo is None else memo
        if remove_duplicate and self in memo:
            return
        memo.add(self)
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(memo, _join(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """The module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths, such as ``"0.weight"``; one that is used twice comes once."""
        return self._named(_own_parameters, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once, for an optimizer."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their paths."""
        return self._named(_own_buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(
        self, own: Callable[[Module], Iterable[tuple[str, Any]]], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        within = self.named_modules(None, prefix, remove_duplicate) if recurse else ((prefix, self),)
        for path, module in within:
            for name, tensor in own(module):
                if not remove_duplicate or id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield _join(path, name), tensor

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as ``"encoder.0"``."""
        module: Any = self
        for name in target.split(".") if target else ():
            child = module.__dict__.get(name)
            if not isinstance(child, Module):
                raise AttributeError(
                    f"{type(module).__name__} has no module {name!r} (of {target!r}); "
                    f"it has {[known for known, _ in module.named_children()]}"
                )
            module = child
        return module  # type: ignore[no-any-return]

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as ``"0.weight"``."""
        path, _, name = target.rpartition(".")
        parameter = self.get_submodule(path).__dict__.get(name)
        if not isinstance(parameter, Parameter):
            raise AttributeError(f"no parameter {target!r}; there are {[name for name, _ in self.named_parameters()]}")
        return parameter

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call `function` with every module, parts first, this one last; returns this one.

        Examples
        --------
        >>> from tinygrad_nn import nn
        >>> def start_at_zero(module):
        ...     if isinstance(module, nn.Linear):
        ...         nn.init.zeros_(module.weight)
        >>> net = nn.Sequential(nn.Linear(2, 1)).apply(start_at_zero)
        """
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # --- state -------------------------------------------------------------------------------------------------------

    def state_dict(self, *, prefix: str = "") -> dict[str, Tensor]:
        """All parameters and persistent buffers by path, with their values of now.

        Values are never written to, so this is a snapshot that costs no copy.
        """
        return {path: plain_tensor(tensor._value) for path, tensor in self._stateful(prefix)}

    def _stateful(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Parameters and persistent buffers, also those that are there twice under two names."""
        for path, module in self.named_modules(None, prefix, remove_duplicate=False):
            for name, tensor in _own_parameters(module):
                yield _join(path, name), tensor
            for name, buffer in _own_buffers(module):
                if module._buffers[name]:
                    yield _join(path, name), buffer

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Take over the values of a `state_dict`; everything is checked before anything is changed.

        Parameters
        ----------
        state_dict : mapping of str to array_like
            Tensors, NumPy arrays, or PyTorch's tensors. Converted to the dtype of what they replace, and copied.
        strict : bool
            Whether each key must be matched on both sides.

        Returns
        -------
        LoadResult
            ``missing_keys`` and ``unexpected_keys``, both empty if `strict`.

        Raises
        ------
        ValueError
            With all keys that are missing, are unexpected or have another shape. The module is then as it was.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"load_state_dict needs a mapping of names to arrays, not {type(state_dict).__name__}")
        own = dict(self._stateful())
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        problems = [f"missing: {', '.join(missing)}"] if strict and missing else []
        problems += [f"unexpected: {', '.join(map(str, unexpected))}"] if strict and unexpected else []
        values: dict[str, Any] = {}
        for key, tensor in own.items():
            if key in state_dict:
                value = state_dict[key]
                value = as_array(value.detach() if hasattr(value, "detach") else value, copy=False)
                if value.shape != tensor.shape:
                    problems.append(f"shape of {key}: {value.shape} given, {tensor.shape} needed")
                elif not np.can_cast(value.dtype, tensor.dtype, "same_kind"):
                    problems.append(f"dtype of {key}: {value.dtype} given, {tensor.dtype} needed")
                else:
                    values[key] = value
        if problems:
            raise ValueError(
                f"this state does not fit {type(self).__name__}; nothing was loaded\n  " + "\n  ".join(problems)
            )
        for key, value in values.items():
            copy = np.array(value, own[key].dtype, order="C")
            own[key]._assign(copy if copy.ndim else copy[()])
        return LoadResult(missing, unexpected)

    # --- modes, gradients, dtype -------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set training mode, which `Dropout` heeds, here and below; returns the module."""
        if not isinstance(mode, bool):
            raise TypeError(f"train() takes a bool, not {mode!r}")
        for module in self.modules():
            module._set("training", mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode here and below; returns the module."""
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them zero."""
        for parameter in self.parameters():
            parameter.grad = None if set_to_none else plain_tensor(np.zeros(parameter.shape, parameter.dtype)[()])

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Learn all parameters, or freeze them; returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def to(self, dtype: npt.DTypeLike) -> Self:
        """Convert all floating-point parameters, their gradients, and buffers to `dtype`; returns the module."""
        if isinstance(dtype, str) and dtype.partition(":")[0] in ("cpu", "cuda", "mps"):
            if dtype != "cpu":
                raise ValueError(f"to({dtype!r}): arrays are on the CPU, there is no other device")
            return self
        dtype = np.dtype(dtype)
        if dtype.kind != "f":
            raise TypeError(f"the parameters of a module are floating-point numbers, they cannot become {dtype}")
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dtype.kind == "f" and tensor.dtype != dtype:
                grad = tensor.grad
                tensor._assign(tensor._value.astype(dtype))
                if grad is not None:
                    tensor.grad = plain_tensor(grad._value.astype(dtype))
        return self

    def float(self) -> Self:
        """As float32."""
        return self.to(np.float32)

    def double(self) -> Self:
        """As float64."""
        return self.to(np.float64)

    # --- hooks -------------------------------------------------------------------------------------------------------

    def register_forward_hook(self, hook: Callable[[Any, tuple[Any, ...], Any], Any]) -> HookHandle:
        """Call ``hook(module, args, result)`` after every `forward`; what it returns, if not None, replaces the result.

        Returns
        -------
        HookHandle
            Its ``remove()`` takes the hook away.

        Examples
        --------
        >>> import tinygrad_nn as tg
        >>> from tinygrad_nn import nn
        >>> layer = nn.Linear(3, 2)
        >>> with layer.register_forward_hook(lambda module, args, result: print(result.shape)):
        ...     _ = layer(tg.tensor([[1.0, 2.0, 3.0]]))
        (1, 2)
        """
        return self._register_hook("_forward_hooks", hook)

    def register_forward_pre_hook(self, hook: Callable[[Any, tuple[Any, ...]], Any]) -> HookHandle:
        """Call ``hook(module, args)`` before every `forward`; what it returns, if not None, replaces the arguments."""
        return self._register_hook("_forward_pre_hooks", hook)

    def _register_hook(self, kind: str, hook: Callable[..., Any]) -> HookHandle:
        if getattr(self, kind) is None:
            object.__setattr__(self, kind, {})
        return HookHandle(getattr(self, kind), hook)

    # --- display -----------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses: the settings."""
        return ""

    def __repr__(self) -> str:
        rows = list(_tree_rows(self, "", ""))
        width = max(len(text) for text, count in rows if count is not None)
        figures = max(len(f"{count or 0:,}") for _, count in rows)
        lines = [text if not count else f"{text:<{width}}  {count:>{figures},}" for text, count in rows]
        total = sum(p.size for p in self.parameters())
        frozen = sum(p.size for p in self.parameters() if not p.requires_grad)
        if total:
            noun = "parameter" if total == 1 else "parameters"
            lines[-1] += f"  {total:,} {noun}" + (f", {frozen:,} of them frozen" if frozen else "")
        return "\n".join(lines)


def _mark(node: Node, call: tuple[Module, int, int]) -> None:
    """Note on a result that a module made it, between which creation numbers; the innermost module comes first."""
    extra = node.extra or {}
    node.extra = {**extra, "module": [*extra.get("module", ()), call]}


def _tree_rows(module: Module, label: str, indent: str) -> Iterator[tuple[str, int | None]]:
    """Lines of a module's tree with the number of parameters below each; None where a line gives no number."""
    children = list(module.named_children())
    head = f"{indent}{label}{type(module).__name__}({module.extra_repr()}"
    yield head if children else f"{head})", sum(p.size for p in module.parameters()) if indent else 0
    for name, child in children:
        yield from _tree_rows(child, f"({name}): ", indent + "  ")
    if children:
        yield f"{indent})", None


def _own_parameters(module: Module) -> Iterable[tuple[str, Parameter]]:
    return [(name, value) for name, value in module.__dict__.items() if isinstance(value, Parameter)]


def _own_buffers(module: Module) -> Iterable[tuple[str, Tensor]]:
    return [(name, module.__dict__[name]) for name in module._buffers if module.__dict__.get(name) is not None]


def _holds_part(values: Any) -> bool:
    return any(isinstance(value, Module | Parameter) for value in (values.values() if type(values) is dict else values))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
