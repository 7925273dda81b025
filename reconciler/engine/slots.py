"""How many jobs of a training engine may be unfinished at once, as far as one run knows."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model import Binding


class JobSlots:
    """The slots of each training engine. A version takes one, whichever binding makes it."""

    def __init__(self, most: Callable[[str], int]) -> None:
        self.most = most
        self._guard = threading.Lock()
        self._held: dict[str, dict[str, str]] = defaultdict(dict)  # by service: key → name

    def take(self, binding: Binding) -> bool:
        """Whether the binding's training may go on; a training that holds a slot keeps it."""
        with self._guard:
            held = self._held[binding.recipe.trainer]
            if binding.key not in held and len(held) >= self.most(binding.recipe.trainer):
                return False
            held.setdefault(binding.key, binding.name)
            return True

    def hold(self, binding: Binding) -> None:
        """Take a slot for a training that is under way already, whether or not one is free."""
        with self._guard:
            self._held[binding.recipe.trainer].setdefault(binding.key, binding.name)

    def has(self, binding: Binding) -> bool:
        """Whether the binding itself holds a slot."""
        return self._holder(binding) == binding.name

    def by_another(self, binding: Binding) -> bool:
        """Whether another binding of the same version holds its slot, and so trains it."""
        return self._holder(binding) not in ("", binding.name)

    def give_back(self, binding: Binding) -> None:
        """Free the binding's slot, if it holds one."""
        with self._guard:
            held = self._held[binding.recipe.trainer]
            if held.get(binding.key) == binding.name:
                del held[binding.key]

    def _holder(self, binding: Binding) -> str:
        with self._guard:
            return self._held[binding.recipe.trainer].get(binding.key, "")
