"""The behaviour of a user's code as part of its identity: the same code may read a file or an environment variable."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime

from paribus.backends.base import Behaviour
from paribus.study.arms import Arm
from paribus.study.store import Store, StoreError

FACT = "behaviour"
"""In the store: an arm's settings -> how its code behaved when the arm was first carried out, and when that was."""


def record_behaviour(store: Store, now: Mapping[Arm, Behaviour]) -> None:
    """Record how each arm's code behaves, where that is not recorded.

    Raises StoreError if it is, there are runs of the arm, and the code behaves otherwise now: what is recorded and what
    would be trained are not the same then, though the settings are.
    """
    recorded, begun = store.by_arm(FACT), {settings for settings, _ in store.statuses()}
    for arm, found in now.items():
        key = arm.key
        before = recorded.get(key) if key in begun else None
        if before is None:
            recorded[key] = {"values": found.values, "under": found.under, "at": time.time()}
        elif not Behaviour(before["values"], before["under"]).agrees(found):
            theirs = " and ".join(kind for kind in arm.settings.user_defined_parts() if kind != "task")
            of_arm = f" of arm {arm.name}" if arm.name else ""
            behave, its, read = (
                ("behave", "their", "they read") if " and " in theirs else ("behaves", "its", "it reads")
            )
            raise StoreError(
                f"the {theirs}{of_arm} {behave} otherwise than on "
                f"{datetime.fromtimestamp(before['at']):%Y-%m-%d %H:%M}, though {its} code is the same: {read} "
                "something that changed, as a file, an environment variable or a library. "
                "Give fresh=True (--fresh) to train it anew, or another name (--name)"
            )
    if recorded:
        store.set(FACT, recorded)
