"""What all optimizers share: groups of parameters with their settings, what is remembered of each, and the step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np

from ..core.graph import StandIn, changes, mode, modes, switch
from ..core.values import precise
from ..tensor.tensor import Tensor, as_array, plain_tensor

#: What optimizers learn: parameters, also with their names, or groups of them with settings.
Params: TypeAlias = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]


class Optimizer:
    """Base of all optimizers. Derive from it and write `updated`.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to learn, such as ``model.parameters()`` or ``model.named_parameters()``; with dicts, groups
        of it, each with ``"params"`` and the settings that differ.
    defaults : dict
        The settings of a group that has none of its own.

    Attributes
    ----------
    param_groups : list of dict
        Change a setting here, such as ``optimizer.param_groups[0]["lr"] = 0.1``, and the next step heeds it.
    state : dict
        By parameter, what the optimizer remembers of it.
    """

    #: Settings that change from step to step, which a compiled step reads anew at each call.
    changing: frozenset[str] = frozenset({"lr"})
    #: Settings that a state_dict may lack, as older files do.
    _newer_settings: frozenset[str] = frozenset({"maximize"})
    #: What is remembered of each parameter that has made a step.
    _state_names: frozenset[str] = frozenset()
    #: Those entries that are one number for the whole parameter, with their types.
    _state_numbers: ClassVar[Mapping[str, type]] = {"step": int}
    #: Whether a step has been made; schedulers warn if none has.
    _stepped = False

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor | Mapping) or not isinstance(params, Iterable):
            raise TypeError(
                f"{type(self).__name__} needs an iterable of Tensors, such as model.parameters(), "
                f"not a {type(params).__name__}"
            )
        entries: list[Any] = list(params)
        if not entries:
            raise ValueError(f"{type(self).__name__} was given no parameters to learn (a used-up generator has none)")
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for group in entries if isinstance(entries[0], Mapping) else [{"params": entries}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Learn further parameters too.

        Parameters
        ----------
        param_group : dict
            ``"params"``, a Tensor or an iterable of them, with or without names, and the settings that differ
            from the optimizer's own.
        """
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(f"a group of parameters is a dict with an entry 'params'; given {param_group!r}")
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(map(_without_name, params))
        known = {p for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"an optimizer learns Tensors, not {type(p).__name__} objects; give model.parameters()")
            if not p.is_leaf:
                raise ValueError(f"an optimizer learns leaves; this Tensor of shape {p.shape} is a computed result")
            if p in known:
                raise ValueError(f"this parameter of shape {p.shape} is given twice; each step would move it twice")
            known.add(p)
        unknown = param_group.keys() - self.defaults.keys() - _FURTHER_SETTINGS
        if unknown:
            raise ValueError(
                f"{type(self).__name__} has no setting {', '.join(map(repr, sorted(unknown)))}; "
                f"there are {', '.join(self.defaults)}"
            )
        group = {**self.defaults, **param_group, "params": params}
        self.check(group)
        changes.count += 1
        self.param_groups.append(group)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse settings that make no sense; `defaults` names those that there are."""

    def updated(self, p: Tensor, value: Any, g: Any, group: dict[str, Any]) -> Any:
        """The new value of a parameter, in an array that nobody else holds.

        Parameters
        ----------
        p : Tensor
            The parameter, as key of `state`.
        value, g : array
            Its value and its gradient, of the same shape and dtype, NumPy scalars if they have no axes. Not to be
            written to.
        group : dict
            Its settings.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define updated()")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; those without stay.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients anew, for methods that need that; called once before the step.

        Returns
        -------
        object
            What `closure` returned, else None.
        """
        loss = None
        if closure is not None:
            with mode("recording", True):
                loss = closure()
        store = modes.store
        both, updated = store.value_and_gradient, self.updated
        state = self.state
        self.state = store.entries(self)
        try:
            for group in store.groups(self):
                climbing = group.get("maximize")
                for p in group["params"]:
                    values = both(p)
                    if values is not None:
                        value, g = values
                        half = value.dtype.char == "e"
                        if half:  # small squares and eps vanish in float16
                            value, g = value.astype(np.float32), g.astype(np.float32)
                        new = updated(p, value, -g if climbing else g, group)
                        p._assign(new.astype(np.float16) if half else new)
        finally:
            self.state = state
        self._stepped = True
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or make them zero, before those of the next step are computed."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none and not switch.active:
                    p._grad = None
                else:
                    p._set_gradient(None if set_to_none else plain_tensor(np.zeros(p.shape, p.dtype)[()]))

    def remembered(self, p: Tensor, name: str, start: float = 0) -> Any:
        """The array kept for `p` under `name`, full of `start` at first; it may be written to."""
        entries = self.state[p]
        known = entries.get(name)
        if known is None:
            first = np.full(p.shape, start, precise(p.dtype))
            known = entries.setdefault(name, first)
            if known is None:  # as files may hold it
                known = entries[name] = first
        elif not isinstance(known, StandIn) and (known.dtype != precise(p.dtype) or not known.flags.writeable):
            # The parameter was converted since, or compiled code has put an array there that belongs to it.
            known = entries[name] = known.astype(precise(p.dtype))
        return known

    def remember(self, p: Tensor, name: str, value: Any) -> None:
        """Keep another array for `p` under `name`, one that nobody else holds."""
        self.state[p][name] = np.asarray(value) if isinstance(value, np.generic) else value

    def remembered_number(self, p: Tensor, name: str, start: float) -> Any:
        """The number kept for `p` under `name`."""
        return self.state[p].setdefault(name, start)

    def counted(self, p: Tensor) -> Any:
        """How many steps `p` has made, with this one."""
        count = self.state[p]["step"] = self.remembered_number(p, "step", 0) + 1
        return count

    def state_dict(self) -> dict[str, Any]:
        """Settings and what is remembered, with parameters by number, in PyTorch's layout; for `tinygrad_nn.save`."""
        numbers = {p: number for number, p in enumerate(self._all_parameters())}
        return {
            "state": {
                numbers[p]: {
                    name: plain_tensor(value.copy()[()]) if isinstance(value, np.ndarray) else value
                    for name, value in entries.items()
                }
                for p, entries in self.state.items()
            },
            "param_groups": [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups],
        }

    def _all_parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a `state_dict`, ours or PyTorch's; everything is checked before anything is changed.

        Raises
        ------
        ValueError
            If it belongs to another optimizer or to other parameters. The optimizer is then as it was.
        """
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= state_dict.keys():
            raise ValueError("the state of an optimizer is a dict with entries 'state' and 'param_groups'")
        saved = state_dict["param_groups"]
        have = [len(group["params"]) for group in self.param_groups]
        want = [len(group["params"]) for group in saved]
        if have != want:
            raise ValueError(f"the state has groups of {want} parameters, the optimizer of {have}; nothing was loaded")
        groups = list(map(self._checked_group, self.param_groups, saved))
        params = dict(enumerate(self._all_parameters()))
        order = [number for group in saved for number in group["params"]]
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, entries in state_dict["state"].items():
            if number not in order:
                raise ValueError(f"the state holds a parameter {number!r} that is in none of its groups")
            position = order.index(number)
            state[params[position]] = self._checked_entries(position, params[position], entries)
        self.param_groups = groups
        self.state = state

    def _checked_group(self, own: dict[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
        missing = [name for name in self.defaults if name not in saved and name not in self._newer_settings]
        if missing:
            raise ValueError(f"the state is of another optimizer: {type(self).__name__} needs {', '.join(missing)}")
        # Lists are what files make of tuples.
        settings = {name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()}
        group = {**own, **settings, "params": own["params"]}
        self.check(group)
        return group

    def _checked_entries(self, position: int, p: Tensor, entries: Mapping[str, Any]) -> dict[str, Any]:
        """What is remembered of one parameter, in arrays of our own."""
        missing = self._state_names - entries.keys()
        if missing:
            raise ValueError(f"the state of parameter {position} lacks {sorted(missing)}; it is another optimizer's")
        checked: dict[str, Any] = {}
        for name, value in entries.items():
            if value is None or isinstance(value, bool | int | float | str):
                checked[name] = value
            elif name in self._state_numbers:
                checked[name] = self._state_numbers[name](value)
            else:
                array = np.array(as_array(value, copy=False), precise(p.dtype), order="C")
                if array.shape != p.shape:
                    raise ValueError(
                        f"{name} of parameter {position} has shape {array.shape}, the parameter {p.shape}; "
                        "nothing was loaded"
                    )
                checked[name] = array
        return checked

    def __repr__(self) -> str:
        groups = [
            f"  {len(group['params'])} parameters: "
            + ", ".join(f"{name}={value}" for name, value in group.items() if name != "params")
            for group in self.param_groups
        ]
        return "\n".join([f"{type(self).__name__}(", *groups, ")"])


def _without_name(entry: Any) -> Any:
    """A parameter as `named_parameters` gives it, without its name."""
    return entry[1] if type(entry) is tuple and len(entry) == 2 and isinstance(entry[0], str) else entry


#: What a group may hold besides an optimizer's own settings: its name, what schedulers note, PyTorch's ways to compute.
_FURTHER_SETTINGS = frozenset(
    (
        *("params", "param_names", "name", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum"),
        *("maximize", "foreach", "fused", "capturable", "differentiable"),
    )
)
